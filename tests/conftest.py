"""Fixtures that several tests share."""

import os
import re
from pathlib import Path

import pytest

from tests.s3 import s3, s3_server

__all__ = ["s3", "s3_server"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without slow tests, leave out files that have no others: what they import takes most of the time."""
    if config.option.markexpr == "not slow" and collection_path.suffix == ".py":
        return (
            bool(re.search(r"^pytestmark = \[?pytest\.mark\.slow", collection_path.read_text(), re.MULTILINE))
            or None
        )
    return None


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the folder of assets: ``$GLITBUILD_ASSETS``, else ``../shared/assets``.

    Where the second is missing the test is skipped. Where the first is, or a file in either, the test fails:
    it was promised.
    """
    promised = os.environ.get("GLITBUILD_ASSETS", "")
    path = Path(promised) if promised else Path(__file__).parents[2] / "shared" / "assets"
    if not path.is_dir():
        if promised:
            pytest.fail(f"GLITBUILD_ASSETS is set, but there is no folder {path}")
        pytest.skip("no folder ../shared/assets; set GLITBUILD_ASSETS to the folder that holds captions/")
    return path.resolve()


@pytest.fixture(scope="session")
def photos(assets: Path) -> Path:
    """Return the folder of photographs, with their captions in ``captions.jsonl``."""
    return _promised(assets / "photos", assets)


@pytest.fixture(scope="session")
def yolo(assets: Path) -> Path:
    """Return the weights of a real detector."""
    return _promised(assets / "yolov8n.pt", assets)


@pytest.fixture(scope="session")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of open_clip's ``ViT-S-32-alt`` with random weights, always the same."""
    import open_clip
    import torch

    path = tmp_path_factory.mktemp("clip") / "vit-s-32-alt.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(open_clip.create_model("ViT-S-32-alt", pretrained=None).state_dict(), path)
    return path


def _promised(path: Path, assets: Path) -> Path:
    if not path.exists():
        pytest.fail(f"{path.name} is missing in {assets}")
    return path
