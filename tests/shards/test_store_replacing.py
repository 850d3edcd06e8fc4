"""A finished shard is replaced as a whole: a kill at any step leaves the old one, or one that isn't finished."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.client import AioBaseClient

from glitbuild.records import Skip, SkipReason, Source
from glitbuild.shards.layout import FOLDERS, MANIFEST, SIZES
from glitbuild.shards.manifest import open_dataset, remove_dataset, write_manifest
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store
from glitbuild.shards.validate import validate
from glitbuild.shards.writer import Outcome, write_shard
from tests.factories import matched_sample_with_jpeg

pytestmark = pytest.mark.slow

MATCH = {"stage": "match"}


class KilledError(Exception):
    """Stands for the end of the process: from then on every operation raises it."""


def write(store: Store, version: int) -> Sidecar:
    """Write the shard: an old version of two samples, or a new one of a skipped row and a longer tar."""
    skip = Skip("000000000", Source("d", "x.jpg"), SkipReason.IMAGE_EMPTY, "0 bytes")
    samples: list[Outcome] = [matched_sample_with_jpeg(number) for number in range(1 + version, 3 + 3 * version)]
    outcomes = [skip, *samples] if version else samples
    return write_shard(store, "00000", outcomes, MATCH, lambda: {"shard": "00000", "sha256": f"{version:064d}"})


def check(store: Store) -> int | None:
    """Return which version of the shard is finished, all of whose files must be right; None where none is."""
    sidecar = Sidecar.read(store, "00000")
    if sidecar is None:
        return None
    write_manifest(store, [sidecar], MATCH, {})
    assert list(validate(*open_dataset(store.url))) == []
    store.remove(MANIFEST)
    store.remove(SIZES)
    return int(sidecar.input["sha256"])


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """End the process, as it were, at the operation of this number; gives the names of those before it."""
    done: list[str] = []

    def counted(name: str, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if len(done) == step:
            raise KilledError
        done.append(name)
        return operation(*args, **kwargs)

    def request(client: AioBaseClient, method: str, arguments: Any) -> Any:
        return counted(method, make_request, client, method, arguments)

    make_request = AioBaseClient._make_api_call
    with monkeypatch.context() as patch:
        for module, name in ((os, "fsync"), (os, "replace"), (os, "remove"), (os, "open"), (os, "unlink")):
            patch.setattr(module, name, partial(counted, name, getattr(module, name)))
        patch.setattr(AioBaseClient, "_make_api_call", request)
        yield done


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "data") if request.param == "local" else f"{request.getfixturevalue('s3')}/data"


def test_a_kill_at_any_step(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, found, step = Store(url), list[int | None](), 0
    while True:
        write(store, 0)
        try:
            with killed_at(step, monkeypatch) as done:
                write(store, 1)
            break
        except KilledError:
            found.append(check(store))
        store.sweep(FOLDERS)
        write(store, 1)
        assert check(store) == 1
        names = [name for folder in FOLDERS for name in store.names(folder)]
        assert sorted(store._fs.find(store.root)) == sorted(map(store.path, names))
        remove_dataset(store)
        step += 1
    assert check(store) == 1
    # First the old shard, then none; the new one is finished by the last step.
    first = found.index(None)
    assert first > 0 and set(found[:first]) == {0} and set(found[first:]) <= {None, 1}, (found, done)
    assert found.count(None) >= 3, done


def write_for_ever(url: str) -> None:
    """Write the old version and, once it is there, replace one by the other until the process is killed."""
    store = Store(url)
    write(store, 0)
    store.write("begun", b"")
    while True:
        for version in (1, 0):
            write(store, version)


def test_sigkill_at_any_moment(tmp_path: Path) -> None:
    code = "import sys; from tests.shards.test_store_replacing import write_for_ever; write_for_ever(sys.argv[1])"
    store, moments = Store(str(tmp_path / "data")), random.Random(0)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code, store.url], cwd=Path(__file__).parents[2]) as process:
            while not store.exists("begun") and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.random() * 0.1)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        store.remove("begun")
        check(store)
    store.sweep(FOLDERS)
    write(store, 0)
    assert check(store) == 0
