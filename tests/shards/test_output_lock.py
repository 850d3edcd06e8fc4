"""One writer at a time, seen from outside: a second command is told, and a killed one leaves no lock."""

import subprocess
import sys
from pathlib import Path

import pytest

from glitbuild.errors import ConfigError
from glitbuild.shards.output import LOCK, locked, writing
from glitbuild.shards.store import Store
from tests.factories import jpeg
from tests.run import glitbuild, here, tree

HOLD = """
import sys
from pathlib import Path
from glitbuild.shards.output import locked
with locked(Path(sys.argv[1]), "out"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(jpeg())
    (folder / "a.txt").write_text("Noise.")
    return folder


def hold(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds a directory's lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


@pytest.mark.slow
def test_the_second_run_is_told_in_one_line_and_the_lock_dies_with_its_process(
    photos: Path, tmp_path: Path
) -> None:
    assert here("ingest", "photos", "--out", "raw", cwd=tmp_path).returncode == 0
    with hold(tmp_path / "out") as process:
        for words in (
            ("ingest", "photos", "--out", "out"),
            ("ingest", "photos", "--out", "./photos/../out", "--overwrite"),
            ("match", "raw", "--out", "out", "--workers", 0, "--detector", "none", "--clip-model", "demo"),
            ("scenes", "--count", 1, "--out", "out"),
        ):
            second = here(*words, cwd=tmp_path)
            assert second.returncode == 2
            errors = [line for line in second.stderr.splitlines() if "error" in line]
            assert len(errors) == 1 and "another run is writing here" in errors[0] and "out" in errors[0]
        assert tree(tmp_path / "out") == {LOCK: b""}
        process.kill()
    assert glitbuild("ingest", "photos", "--out", "out", cwd=tmp_path).returncode == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "raw")


def test_what_failed_before_it_wrote_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "a" / "b", "b"):
        assert (tmp_path / "a" / "b" / LOCK).exists()
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(KeyError), writing(Store(str(tmp_path / "a" / "b"))):
        raise KeyError
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
    assert list((tmp_path / "a").iterdir()) == []


def test_what_was_written_stays(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "a"))
    with writing(store):
        store.write("shards/00000.tar", b"1")
        with pytest.raises(ConfigError, match="another run"), writing(store):
            pytest.fail("two writers at once")
    assert tree(tmp_path) == {"a/shards/00000.tar": b"1"}


@pytest.mark.parametrize("place", ["/proc/glitbuild", "{file}/out"])
def test_a_place_that_cannot_be_written_to(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="can't be written to"),
        writing(Store(place.format(file=tmp_path / "file"))),
    ):
        pytest.fail("it was written")


@pytest.mark.slow
def test_exit_2_has_written_nothing(photos: Path, tmp_path: Path) -> None:
    assert here("ingest", "photos", "--out", "raw", cwd=tmp_path).returncode == 0
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "rows.jsonl").write_text('{"image": "photos/a.jpg", "caption": "A."}\n')
    before = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}
    match = ("match", "raw", "--workers", 0, "--clip-model", "demo", "--out", "new/out")
    for words in (
        ("ingest", "gone", "--out", "new/out"),
        ("ingest", "empty.jsonl", "--out", "new/out"),
        ("ingest", "rows.jsonl", "--out", "new/out", "--caption-column", "title"),
        ("ingest", "photos", "--out", "new/out", "--format", "nosuch"),
        ("ingest", "photos", "--out", "new/out", "--exclude", "photos"),
        ("ingest", "photos", "--out", "raw", "--shard-size", 7),
        ("ingest", "photos", "--out", "rows.jsonl"),
        (*match[:-1], "raw/manifest.json/x", "--detector", "none"),
        (*match, "--detector", "nosuch.pt"),
        (*match, "--detector", "none", "--clip-pretrained", "nosuch.pt"),
        ("match", "raw", "--workers", 0, "--detector", "none", "--clip-model", "NOSUCH", "--out", "new/out"),
        ("match", "photos", "--out", "new/out"),
        ("scenes", "--count", 0, "--out", "new/out"),
    ):
        result = here(*words, cwd=tmp_path)
        assert result.returncode == 2, (words, result.stdout, result.stderr)
        after = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}
        assert after.keys() == before.keys(), words
