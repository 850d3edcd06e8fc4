"""Runs to export, as ``glitbuild train`` leaves them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.saved import save_model
from glitbuild.clip.towers import stretch
from glitbuild.stages.export.command import ExportOptions, run_export
from tests.tiny_models import save_clip

RUNS = ("stretched", "quick-gelu", "squash")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, clip_checkpoint: Path) -> Path:
    """Return a folder of runs."""
    folder = tmp_path_factory.mktemp("runs")
    spec = ClipSpec.parse("ViT-S-32-alt", str(clip_checkpoint))
    model = spec.load("cpu")
    stretch(model)
    save_model(folder / "stretched", model, spec.model_cfg())
    (folder / "stretched" / "checkpoints").mkdir()
    (folder / "stretched" / "log.jsonl").touch()
    save_clip(folder / "quick-gelu")
    squash = {"resize_mode": "squash", "interpolation": "bilinear", "mean": (0.5,) * 3, "std": (0.25,) * 3}
    save_clip(folder / "squash", quick_gelu=False, preprocess=squash)
    return folder


@pytest.fixture(scope="session")
def exported(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Return what gives the export of a run in a format; each is made once."""
    folder = tmp_path_factory.mktemp("exported")

    def export(run: str, format: str) -> Path:
        target = folder / format / run
        if not target.exists():
            run_export(ExportOptions(str(runs / run), str(target), format))
        return target

    return export
