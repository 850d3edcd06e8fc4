from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from glitbuild.stages.caption.options import CaptionOptions
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.factories import jpeg

MakeImages = Callable[..., CaptionOptions]


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def images(tmp_path: Path) -> MakeImages:
    """Return what makes a dataset of so many images without captions, and the options to caption it."""

    def make(count: int, shard_size: int = 100, pictures: int | None = None, **changes: object) -> CaptionOptions:
        folder = tmp_path / "photos"
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:03d}.jpg").write_bytes(jpeg(seed=number % (pictures or count)))
        raw = str(tmp_path / "images")
        run_ingest(IngestOptions((str(folder),), raw, shard_size=shard_size, captions=False, duplicates="keep"))
        options = CaptionOptions(raw, str(tmp_path / "raw"), "http://127.0.0.1:9/v1", "a-model", retries=0)
        return replace(options, **changes)

    return make
