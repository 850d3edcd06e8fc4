"""A small model and small datasets for it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from glitbuild.records import Sample
from glitbuild.shards.manifest import write_manifest
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from tests.run import here
from tests.stages.evaluate.models import save_small_clip

Shards = Sequence[Sequence[tuple[Sample, bytes]]]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that reads 77 tokens."""
    return save_small_clip(tmp_path_factory.mktemp("model") / "small")


@pytest.fixture(scope="session")
def long_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same model, stretched to 248 tokens."""
    return save_small_clip(tmp_path_factory.mktemp("model") / "long", 248)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight scenes in three shards, with their truth."""
    folder = tmp_path_factory.mktemp("scenes")
    result = here("scenes", "--count", 8, "--noise", 0.5, "--out", "data", "--shard-size", 3, cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "data"


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[[Shards, str], Path]:
    """What writes samples as a finished dataset of a stage."""

    def write(shards: Shards, stage: str) -> Path:
        store, config = Store(str(tmp_path / stage)), {"stage": stage}
        sidecars = [
            write_shard(store, f"{number:05d}", samples, config, dict) for number, samples in enumerate(shards)
        ]
        write_manifest(store, sidecars, config, {})
        return tmp_path / stage

    return write


def renumbered(sample: tuple[Sample, bytes], number: int, caption: str) -> tuple[Sample, bytes]:
    """Return another caption of the same picture."""
    return replace(sample[0], key=f"{number:09d}", caption=caption), sample[1]
