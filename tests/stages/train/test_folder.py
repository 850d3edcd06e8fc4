"""A wrong command line leaves nothing behind, and the corrected one works."""

import json
import shutil
from pathlib import Path

import pytest

from glitbuild.clip.saved import WEIGHTS
from tests.run import here
from tests.stages.train.worlds import matched_scenes, save_small_clip

pytestmark = pytest.mark.slow

RIGHT = ["--epochs", 1, "--batch-size", 8, "--loader-workers", 0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    matched_scenes(folder / "pairs", (5, 4))
    save_small_clip(folder / "base")
    return folder


@pytest.fixture
def place(world: Path, tmp_path: Path) -> Path:
    """Return a folder with the dataset, the model, a run that was begun, and other things."""
    shutil.copytree(world / "pairs", tmp_path / "pairs")
    shutil.copytree(world / "base", tmp_path / "base")
    shutil.copytree(world / "base", tmp_path / "damaged")
    (tmp_path / "damaged" / WEIGHTS).write_bytes(b"half")
    (tmp_path / "weights.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.json").write_text(json.dumps({"schema": "glit-run/1", "config": {"lr": 1.0}}))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    result = here("scenes", "--count", 2, "--out", "scenes", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    return tmp_path


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return all that is in a folder, empty folders too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["pairs", "--model", "NOSUCH"], "model NOSUCH: unknown architecture"),
        (["pairs", "--model", "RN50", "--pretrained", "nosuchtag"], "pretrained nosuchtag"),
        (["pairs", "--model", "ViT-B-32", "--pretrained", "weights.pt"], "weights.pt"),
        (["pairs", "--model", "ViT-B-32", "--pretrained", "no/such.pt"], "no/such.pt"),
        (["pairs", "--model", "demo", "--pretrained", "openai"], "it has its own weights"),
        (["pairs", "--model", "damaged"], "damaged"),
        (["nowhere", "--model", "base"], "nowhere: no such dataset directory"),
        (["mine", "--model", "base"], "not a dataset directory"),
        (["pairs", "--model", "base", "--batch-size", 99], "only 9 samples"),
        (["pairs", "--model", "base", "--gpus", 64], "--gpus 64"),
        (["pairs", "--model", "base", "--workers", 1, "--ray-address", "127.0.0.1:1"], "can't connect"),
        (["pairs", "--model", "base", "--resume"], "there is no checkpoint"),
        (["pairs", "--model", "base", "--lr", "inf"], "--lr inf"),
        (["pairs", "--model", "base", "--epochs", "some"], "--epochs"),
        (
            [
                "pairs",
                "--model",
                "base",
                "--loss",
                "tsl",
                "--unlocked-image-groups",
                0,
                "--unlocked-text-layers",
                0,
            ],
            "nothing would be trained",
        ),
        (["pairs", "--model", "base", "--out", "mine/thesis.txt/run"], "not a writable folder"),
        (["pairs", "--model", "base", "--out", "mine"], "not a run"),
        (["pairs", "--model", "base", "--out", "mine", "--overwrite"], "not a run"),
        (["pairs", "--model", "base", "--out", "pairs", "--overwrite"], "about to be read"),
        (["pairs", "--model", "base", "--out", "begun"], "lr was 1.0"),
        (["pairs", "--model", "NOSUCH", "--out", "begun", "--overwrite"], "unknown architecture"),
        (["pairs", "--model", "base", "--out", "begun", "--overwrite", "--batch-size", 99], "only 9 samples"),
    ],
)
def test_a_wrong_command_line_writes_nothing(args: list[object], says: str, place: Path) -> None:
    before = everything(place)
    result = here("train", "--out", "new/run", *RIGHT, *args, cwd=place)
    lines = result.stderr.splitlines()
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert lines[-1].startswith(("glitbuild: error: ", "Error: "))
    assert says in lines[-1]
    assert everything(place) == before


def test_an_unmatched_dataset_writes_nothing(place: Path) -> None:
    before = everything(place)
    result = here("train", "scenes", "--out", "new/run", "--model", "base", cwd=place)
    assert result.returncode == 1
    assert "no best_pair" in result.stderr
    assert everything(place) == before


def test_the_corrected_command_works_where_the_wrong_one_was(place: Path) -> None:
    assert here("train", "pairs", "--out", "run", "--model", "NOSUCH", *RIGHT, cwd=place).returncode == 2
    result = here("train", "pairs", "--out", "run", "--model", "base", *RIGHT, cwd=place)
    assert result.returncode == 0, result.stderr
    # A run is not removed where it is what is to be read.
    before = everything(place / "run")
    result = here("train", "pairs", "--out", "run", "--model", "run", "--overwrite", *RIGHT, cwd=place)
    assert result.returncode == 2
    assert "about to be read" in result.stderr
    assert everything(place / "run") == before
    # How a batch is computed may change: the steps don't depend on it.
    again = here("train", "pairs", "--out", "run", "--model", "base", "--accumulate", 4, *RIGHT, cwd=place)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout
