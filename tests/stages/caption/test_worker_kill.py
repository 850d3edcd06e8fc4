"""SIGKILL while captions are being asked for: the same command again asks only for what is missing."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.shards.validate import validate
from glitbuild.stages.caption.command import run_caption
from tests.run import GLITBUILD, tree
from tests.stages.caption.conftest import MakeImages
from tests.stages.caption.standin import Asked, Reply, StandIn, describe

pytestmark = pytest.mark.slow


def test_a_killed_run_goes_on_and_pays_for_no_finished_shard_again(images: MakeImages) -> None:
    options = images(12, 3, concurrency=2, max_tokens=512)

    def stop_in_the_third_shard(asked: Asked) -> Reply:
        return describe(asked) if len(server.asked) < 8 else Reply(stall=True)

    command = [GLITBUILD, "caption", options.dir, "--out", options.out, "--model", options.model]
    with StandIn(stop_in_the_third_shard) as server:
        process = subprocess.Popen(
            [*command, "--endpoint", server.url, "--concurrency", "2"], stderr=subprocess.PIPE
        )
        while len(server.asked) < 8 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        _, errors = process.communicate()
    assert process.returncode == -9, errors.decode()
    finished = tree(Path(options.out) / "shards")
    assert {"00000.json", "00001.json"} <= finished.keys() and "00002.json" not in finished
    with StandIn() as server:
        result = run_caption(replace(options, endpoint=server.url))
    store, manifest = open_dataset(options.dir)
    missing = [jpeg for entry in manifest.shards[2:4] for _, jpeg in read_shard(store, entry.name, entry.sha256)]
    assert sorted(asked.jpeg for asked in server.asked) == sorted(missing)
    assert result.manifest.totals["samples"] == 12
    after = tree(Path(options.out) / "shards")
    assert {name: after[name] for name in after if name[:5] in ("00000", "00001")} == {
        name: data for name, data in finished.items() if name[:5] in ("00000", "00001")
    }
    assert list(validate(*open_dataset(options.out))) == []
