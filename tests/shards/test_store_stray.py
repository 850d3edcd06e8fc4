"""What desktops, notebooks and git leave in a dataset directory is nothing of its own."""

import shutil
from pathlib import Path

import pytest

from glitbuild.shards.manifest import open_dataset
from tests.run import here
from tests.shards.test_validate import build, problems

STRAY = (".DS_Store", "._00000.tar", "._00000.json", "._00000.parquet", "._00000.jsonl", "Thumbs.db", "desktop.ini")


@pytest.fixture(scope="module")
def littered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build(tmp_path_factory.mktemp("stray") / "data")
    (folder / "truth").mkdir()
    for place in ("", "shards", "pairs", "skipped", "truth", "shards/__MACOSX", "pairs/.ipynb_checkpoints", ".git"):
        (folder / place).mkdir(exist_ok=True)
        for name in STRAY:
            (folder / place / name).write_bytes(b"\0\5\x16\7 no file of ours")
    return folder


def test_a_dataset_is_valid_with_them(littered: Path) -> None:
    store, _ = open_dataset(str(littered))
    assert problems(littered) == []
    assert store.names("truth") == []
    assert store.names("pairs") == [f"pairs/0000{number}.parquet" for number in range(3)]


def test_what_is_no_stray_file_is_still_a_problem(littered: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(littered, tmp_path / "data"))
    (folder / "shards/notes.txt").write_text("mine")
    assert problems(folder) == [("shards/notes.txt", "not in the manifest")]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["validate", "data"], "data is valid: 8 samples in 3 shards"),
        (["stats", "data"], "8"),
        (["preview", "data", "--out", "page.html"], "8 of 8 samples"),
        (["push", "data", "someone/data", "--dry-run"], "nothing was sent"),
        (["ingest", "data", "--out", "again"], "again: 8 samples in 1 shards, 0 skipped"),
        (["ingest", "data/shards", "--out", "again"], "again: 8 samples in 1 shards, 0 skipped"),
    ],
)
def test_every_reader_passes_over_them(littered: Path, tmp_path: Path, command: list[str], says: str) -> None:
    shutil.copytree(littered, tmp_path / "data")
    result = here(*command, cwd=tmp_path)
    assert (result.returncode, says in result.stdout) == (0, True), result.stdout + result.stderr
    if "push" in command:
        assert not any(name in result.stdout for name in STRAY)
