"""Detectors: a real YOLO on photographs, and randomly initialised set predictors saved to a folder."""

import io
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from glitbuild.errors import ConfigError, ModelError
from glitbuild.flism.detectors.base import Detection
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.regions import iou
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import render
from glitbuild.stages.scenes.world import make_scene
from tests.tiny_models import save_detr, save_yolos

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def images(photos: Path) -> list[Image.Image]:
    names = [json.loads(line)["image"] for line in (photos / "captions.jsonl").read_text().splitlines()[:6]]
    return [Image.open(photos / name).convert("RGB") for name in names]


@pytest.fixture(scope="module")
def hf_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small randomly initialised model of the class that the test asks for."""
    folder = tmp_path_factory.mktemp(request.param)
    {"yolos": save_yolos, "detr": save_detr}[request.param](folder)
    return folder


def same(one: list[Detection], two: list[Detection]) -> bool:
    pairs = zip(one, two, strict=True)
    return all(a.label == b.label and iou(a.box, b.box) > 0.999 and abs(a.score - b.score) < 1e-3 for a, b in pairs)


def test_yolo_finds_the_bear_and_does_not_mind_its_neighbours(yolo: Path, images: list[Image.Image]) -> None:
    detector = DetectorSpec.parse(str(yolo), None).load("cpu")
    together = detector.detect(images)
    assert len(together) == len(images)
    (bear,) = [found for found in together[0] if found.label == "bear"]
    assert iou(bear.box, (1.4, 68.8, 586.0, 632.8)) > 0.8
    assert all(found.score >= 0.25 for of in together for found in of)
    for image, found in zip(images, together, strict=True):
        assert same(detector.detect([image])[0], found)


def test_a_higher_score_keeps_fewer(yolo: Path, images: list[Image.Image]) -> None:
    low, high = (DetectorSpec.parse(str(yolo), score).load("cpu").detect(images) for score in (0.25, 0.6))
    assert [[found for found in of if found.score >= 0.6] for of in low] == high
    assert sum(map(len, high)) < sum(map(len, low))


def test_an_exported_model_finds_the_bear_too(yolo: Path, images: list[Image.Image], tmp_path: Path) -> None:
    from ultralytics.models import YOLO

    (tmp_path / "yolov8n.pt").write_bytes(yolo.read_bytes())  # the export is written beside it
    exported = YOLO(str(tmp_path / "yolov8n.pt")).export(format="onnx", imgsz=320, simplify=False, verbose=False)
    detector = DetectorSpec.parse(str(exported), None).load("cpu")
    together = detector.detect(images)
    (bear,) = [found for found in together[0] if found.label == "bear"]
    assert iou(bear.box, (1.4, 68.8, 586.0, 632.8)) > 0.8
    assert same(detector.detect([images[0]])[0], together[0])


def test_an_exported_model_needs_its_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "yolo.onnx").write_bytes(b"\x08\x07")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"glitbuild\[onnx\]"):
        DetectorSpec.parse(str(tmp_path / "yolo.onnx"), None).load("cpu")


@pytest.mark.parametrize("hf_folder", ["yolos", "detr"], indirect=True)
def test_set_predictors_do_not_mind_their_neighbours(hf_folder: Path, images: list[Image.Image]) -> None:
    detector = DetectorSpec.parse(f"hf:{hf_folder}", 0.0).load("cpu")
    together = detector.detect(images)
    assert [len(found) for found in together] == [10] * len(images)
    for image, found in zip(images, together, strict=True):
        assert same(detector.detect([image])[0], found)
        for detection in found:
            assert detection.label.startswith("LABEL_")
            assert max(detection.box) <= 2 * max(image.size), "in pixels of the picture as given"


@pytest.mark.parametrize("hf_folder", ["yolos"], indirect=True)
def test_the_threshold_of_set_predictors_is_their_own(hf_folder: Path, images: list[Image.Image]) -> None:
    spec = DetectorSpec.parse(f"hf:{hf_folder}", None)
    assert spec.score == 0.5
    assert DetectorSpec.parse("none", None).score == 0.25
    assert all(found.score >= 0.5 for of in spec.load("cpu").detect(images) for found in of)


def asking(image: Image.Image, orientation: int) -> Image.Image:
    """The same pixels, opened from a file whose metadata ask for a turn."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = io.BytesIO()
    image.save(content, "PNG", exif=exif)
    opened = Image.open(content)
    assert opened.getexif()[0x0112] == orientation
    return opened


@pytest.mark.parametrize("orientation", [3, 6])
def test_yolo_does_not_turn_pictures_by_itself(yolo: Path, images: list[Image.Image], orientation: int) -> None:
    detector = DetectorSpec.parse(str(yolo), None).load("cpu")
    turned = asking(images[0], orientation)
    found = detector.detect([turned])[0]
    assert found == detector.detect(images[:1])[0] and len(found) >= 1
    assert turned.getexif()[0x0112] == orientation, "the caller's picture is left as it was"


@pytest.mark.parametrize("hf_folder", ["detr"], indirect=True)
def test_set_predictors_do_not_turn_pictures_by_themselves(hf_folder: Path, images: list[Image.Image]) -> None:
    detector = DetectorSpec.parse(f"hf:{hf_folder}", 0.0).load("cpu")
    assert detector.detect([asking(images[0], 6)]) == detector.detect(images[:1])


def test_the_embedded_detector_does_not_turn_pictures_by_itself() -> None:
    picture = render(make_scene(ScenesOptions(count=1, out="", seed=4, split="val"), 0))
    detector = DetectorSpec.parse("demo", None).load("cpu")
    found = detector.detect([asking(picture, 6)])[0]
    assert found == detector.detect([picture])[0] and found


def test_no_detector_finds_nothing(images: list[Image.Image]) -> None:
    assert DetectorSpec.parse("none", None).load("cpu").detect(images) == [[] for _ in images]


def test_a_files_identity_is_its_content(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("a.pt", "b.pt", "c.pt"))
    for path, data in ((one, b"x"), (two, b"x"), (other, b"y")):
        path.write_bytes(data)
    identities = [DetectorSpec.parse(str(path), None).identity for path in (one, two, other)]
    assert identities[0] == identities[1] != identities[2]
    assert DetectorSpec.parse("yolov8n.pt", None).identity == "yolov8n.pt"


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="hf:"):
        DetectorSpec.parse(f"hf:{tmp_path}", None).load("cpu")


@pytest.mark.parametrize("name", ["photo.pt", "photo.onnx"])
def test_a_file_that_is_no_model_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not a model")
    with pytest.raises(ModelError, match="photo"):
        DetectorSpec.parse(str(tmp_path / name), None).load("cpu")


@pytest.mark.parametrize("spec", ["yolo", "hf:./nowhere", "some/folder/yolov8n.pt", "photo.jpg"])
def test_specs_that_name_nothing_are_known_without_loading(spec: str) -> None:
    with pytest.raises(ModelError):
        DetectorSpec.parse(spec, None)


@pytest.mark.parametrize("score", [-0.1, 1.1])
def test_scores_beyond_zero_and_one_are_refused(score: float) -> None:
    with pytest.raises(ConfigError, match="--score"):
        DetectorSpec.parse("none", score)


def test_the_embedded_detector_finds_what_is_in_scenes() -> None:
    scenes = [make_scene(ScenesOptions(count=1, out="", seed=4, split="val"), 4 * index) for index in range(12)]
    found = DetectorSpec.parse("demo", None).load("cpu").detect([render(scene) for scene in scenes])
    there = [(thing, of) for scene, of in zip(scenes, found, strict=True) for thing in scene.things]
    hits = [
        any(box.label == thing.look.kind and iou(box.box, thing.box) > 0.5 for box in of) for thing, of in there
    ]
    assert sum(hits) / len(hits) > 0.85
    assert sum(map(len, found)) < 1.3 * len(hits)
