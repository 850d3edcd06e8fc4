"""A Hub on this machine for each test, to which the client in this process speaks."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.stages.publish.hub.folders import make_dataset
from tests.stages.publish.hub_client import logged_in
from tests.stages.publish.hub_server import Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Return a Hub where anna is logged in."""
    with logged_in(monkeypatch, tmp_path) as started:
        yield started


@pytest.fixture
def xet(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """Return that Hub, to whose Xet storage the client sends, as it does unless somebody turns it off."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    return hub


@pytest.fixture
def downloads(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Return that Hub, from which the libraries in this process now load, as somebody else."""
    import datasets
    from huggingface_hub import HfFileSystem

    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "downloads"))
    HfFileSystem.clear_instance_cache()
    yield hub
    HfFileSystem.clear_instance_cache()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds that would have been waited, in order, without waiting."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a matched dataset of three shards."""
    folder = tmp_path_factory.mktemp("push") / "pairs"
    make_dataset(folder, 3)
    return folder
