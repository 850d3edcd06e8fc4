"""What ultralytics would change by itself, and what a file of weights may do."""

import builtins
import hashlib
import io
import json
import os
import pickle
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image, UnidentifiedImageError

from glitbuild.errors import ModelError
from glitbuild.flism.detectors.registry import DetectorSpec
from tests.run import here, tree

pytestmark = pytest.mark.slow


class Asks:
    """Unpickled, it is what a function returns."""

    def __init__(self, function: Callable[..., Any], *args: object) -> None:
        self._call = function, args

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


def zipped(content: object, path: Path) -> None:
    torch.save({"model": content}, path)


def legacy(content: object, path: Path) -> None:
    torch.save({"model": content}, path, _use_new_zipfile_serialization=False)


def bare(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": content}))


def bare_oldest(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps([content], protocol=0))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def touching(marker: Path) -> dict[str, Asks]:
    script = marker.with_name("script.py")
    script.write_text(f"open({str(marker)!r}, 'w')")
    return {
        "system": Asks(os.system, f"touch {marker}"),
        "exec": Asks(builtins.exec, f"open({str(marker)!r}, 'w')"),
        "runpy": Asks(runpy.run_path, str(script)),
        "mkdir": Asks(os.mkdir, str(marker)),
    }


@pytest.mark.parametrize("save", [zipped, legacy, bare, bare_oldest])
@pytest.mark.parametrize("call", ["system", "exec", "runpy", "mkdir"])
def test_a_pickle_that_asks_for_code_is_refused_without_running_it(
    save: Callable[[object, Path], None], call: str, marker: Path, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pt"
    save(touching(marker)[call], path)
    with pytest.raises(ModelError, match="--trust-detector") as caught:
        DetectorSpec.parse(str(path), None).load("cpu")
    assert call in str(caught.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() in str(caught.value)
    assert not marker.exists()


def test_code_hidden_behind_allowed_classes_is_refused(marker: Path, tmp_path: Path) -> None:
    layer = torch.nn.Linear(1, 1)
    layer.hidden = touching(marker)["system"]  # type: ignore[assignment]
    zipped(torch.nn.Sequential(layer), tmp_path / "hidden.pt")
    zipped(Asks(getattr, torch.nn.Linear, "__init__"), tmp_path / "getattr.pt")
    for name in ("hidden", "getattr"):
        with pytest.raises(ModelError, match="--trust-detector"):
            DetectorSpec.parse(str(tmp_path / f"{name}.pt"), None).load("cpu")
    assert not marker.exists()


@pytest.mark.parametrize("how", ["trusted", "sha256"])
def test_a_trusted_pickle_is_opened_as_it_is(how: str, marker: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    zipped(touching(marker)["system"], path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = DetectorSpec.parse(str(path), None, how == "trusted", digest.upper() if how == "sha256" else None)
    with pytest.raises(ModelError, match="not an ultralytics checkpoint"):
        spec.load("cpu")
    assert marker.exists()


def test_another_file_than_the_checksum_says_is_refused(yolo: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--detector-sha256"):
        DetectorSpec.parse(str(yolo), None, sha256="0" * 64)
    path = tmp_path / "weights.pt"
    path.write_bytes(yolo.read_bytes())
    spec = DetectorSpec.parse(str(path), None)
    path.write_bytes(yolo.read_bytes() + b"\n")
    with pytest.raises(ModelError, match="SHA-256"):
        spec.load("cpu")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"not a model", "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt"])
def test_what_is_no_model_is_called_so(content: bytes, says: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=says) as caught:
        DetectorSpec.parse(str(path), None).load("cpu")
    assert "trust" not in str(caught.value)


def test_a_downloaded_name_stays_the_same_detector(
    yolo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    kept = Path(torch.hub.get_dir()) / "checkpoints" / "ultralytics" / "yolov8n.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(yolo.read_bytes())
    first = DetectorSpec.parse("yolov8n.pt", None)
    first.load("cpu")
    assert DetectorSpec.parse("yolov8n.pt", None) == first
    assert not Path("yolov8n.pt").exists()
    with pytest.raises(ModelError, match="SHA-256"):
        DetectorSpec.parse("yolov8n.pt", None, sha256="0" * 64).load("cpu")


def test_what_ultralytics_does_to_the_process_is_undone(yolo: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        DetectorSpec.parse(str(yolo), None).load("cpu")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"no picture"))
    from ultralytics.utils import checks, events

    assert not checks.AUTOINSTALL and not events.events.enabled


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an hour pass between two looks at the clock of ultralytics' suppression."""
    from ultralytics.utils import nms

    now = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(nms, "time", SimpleNamespace(time=lambda: float(next(now)), monotonic=time.monotonic))


def test_no_detection_is_lost_on_a_slow_machine(
    yolo: Path, photos: Path, tmp_path: Path, clip_checkpoint: Path, request: pytest.FixtureRequest
) -> None:
    rows = (photos / "captions.jsonl").read_text().splitlines()[:5]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    for row in rows:
        name = json.loads(row)["image"]
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    assert here("ingest", tmp_path / "rows.jsonl", "--out", tmp_path / "raw", cwd=tmp_path).returncode == 0
    models = ["--detector", yolo, "--clip-model", "ViT-S-32-alt", "--clip-pretrained", clip_checkpoint]
    command = ["match", tmp_path / "raw", "--workers", 0, *models, "--out"]
    assert here(*command, tmp_path / "fast", cwd=tmp_path).returncode == 0
    request.getfixturevalue("slow")
    assert here(*command, tmp_path / "slow", cwd=tmp_path).returncode == 0
    assert tree(tmp_path / "slow" / "shards") == tree(tmp_path / "fast" / "shards")
    records = tree(tmp_path / "fast" / "shards", "*.tar")["00000.tar"]
    assert records.count(b'"label":') - records.count(b'"label":null') > 5
