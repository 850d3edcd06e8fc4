"""Classification of given boxes, and the boxes that sentences refer to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glitbuild.stages.evaluate.regions import TEMPLATE, label_hits, referring_hits
from tests.factories import jpeg
from tests.run import here


def unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 9))
def test_a_label_counts_if_no_other_is_as_similar(seed: int, boxes: int, labels: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = unit(rng.integers(-1, 2, (boxes, 3)) + 0.1), unit(rng.integers(-1, 2, (labels, 3)) + 0.1)  # many ties
    own = rng.integers(0, labels, boxes)
    found = label_hits(a, b, own)
    assert set(found) == ({"acc1", "acc5"} if labels > 5 else {"acc1"})
    for name, depth in (("acc1", 1), ("acc5", 5)):
        for row in range(boxes):
            values = [np.float32(a[row].astype(float) @ label.astype(float)) for label in b]
            others = [value for label, value in enumerate(values) if label != own[row]]
            expected = sum(value >= values[own[row]] for value in others) < depth
            assert name not in found or found[name][row] == expected


def test_a_sentence_is_compared_with_the_boxes_of_its_image() -> None:
    crops = unit(np.eye(5))
    image_of = np.array([0, 0, 0, 1, 2])
    boxes = np.array([[0, 0, 5, 5], [1, 1, 9, 9], [0, 0, 5, 5], [0, 0, 5, 5], [0, 0, 5, 5]], dtype=float)
    # Row 2 is row 0's box with another sentence; the images 1 and 2 have one box each.
    sentences = unit(np.array([[2.0, 1, 0, 9, 0], [2, 1, 0, 0, 9], [2, 1, 9, 9, 9], [0, 0, 0, 1, 0]]))
    hits, chance = referring_hits(crops, image_of, boxes, sentences, [0, 1, 2, 3])
    assert hits.tolist() == [True, False, True]
    assert chance.tolist() == [0.5] * 3


LABELS = ["cat", "red ball", "sky", "tree", "dog", "bus", "cup"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset of images with boxes, two captions for some, in two shards."""
    folder, rng = tmp_path_factory.mktemp("regions"), np.random.default_rng(0)
    rows = []
    for number in range(7):
        (folder / f"{number}.jpg").write_bytes(jpeg(90, 70, seed=number))
        boxes = []
        for part in range(1 + number % 4):
            left, top = rng.integers(0, 40, 2).tolist()
            box = [left, top, left + int(rng.integers(12, 40)), top + int(rng.integers(12, 30))]
            said = f"the {LABELS[(number + part) % 7]} that is number {part}" if part != 2 else ""
            boxes.append({"box": box, "label": LABELS[(3 * number + part) % 7], "sentence": said})
        for again in range(1 + number % 2):
            rows.append({"image": f"{number}.jpg", "caption": f"Noise {number}, {again}.", "regions": boxes})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["ingest", "rows.jsonl", "--boxes-column", "regions", "--duplicates", "keep", "--shard-size", 4]
    result = here(*words, "--out", "data", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder


def script(world: Path, model_folder: Path) -> dict[str, list[bool]]:
    """Return the hits as open_clip and plain loops give them."""
    name = f"local-dir:{model_folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    model.eval()
    rows = {row["image"]: row for row in map(json.loads, (world / "rows.jsonl").read_text().splitlines())}
    labels = sorted({box["label"] for row in rows.values() for box in row["regions"]})

    def embed(texts: list[str]) -> Any:
        with torch.no_grad():
            return model.encode_text(tokenizer(texts), normalize=True).numpy()

    found: dict[str, list[bool]] = {"acc1": [], "acc5": [], "accuracy": []}
    weights = embed([TEMPLATE.format(label) for label in labels])
    for image, row in rows.items():
        picture, boxes = Image.open(world / "data-images" / image).convert("RGB"), row["regions"]
        with torch.no_grad():
            pixels = torch.stack([transform(picture.crop(box["box"])) for box in boxes])
            crops = model.encode_image(pixels, normalize=True).numpy()
        for crop, box in zip(crops, boxes, strict=True):
            order = np.argsort(-(weights @ crop)).tolist()
            place = order.index(labels.index(box["label"]))
            found["acc1"].append(place < 1)
            found["acc5"].append(place < 5)
            if box["sentence"] and len(boxes) > 1:
                (sentence,) = embed([box["sentence"]])
                found["accuracy"].append(boxes[int(np.argmax(crops @ sentence))] is box)
    return found


@pytest.mark.slow
def test_the_numbers_are_those_of_an_independent_script(world: Path, long_model: Path, tmp_path: Path) -> None:
    (world / "data-images").mkdir(exist_ok=True)
    for path in world.glob("*.jpg"):
        (world / "data-images" / path.name).write_bytes(path.read_bytes())
    result = here("eval", long_model, world / "data", "--out", "report.json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    suites = json.loads((tmp_path / "report.json").read_text())["suites"]
    assert list(suites) == ["retrieval", "robustness", "averaging", "regions"]
    hits, found = script(world, long_model), suites["regions"]
    assert found["figures"]["labels"] == {
        name: pytest.approx(100 * np.mean(hits[name]), abs=1e-3) for name in ("acc1", "acc5")
    }
    assert found["figures"]["sentences"]["accuracy"] == pytest.approx(100 * np.mean(hits["accuracy"]), abs=1e-3)
    assert (found["boxes"], found["labels"]) == (len(hits["acc1"]), 7)
    assert found["sentences"] == len(hits["accuracy"])
    assert 0 < np.mean(hits["accuracy"]) < 1
    assert found["sentences_without_a_choice"] > 0
    words = ["eval", long_model, world / "data", "--suite", "regions", "--cache", "cache", "--out"]
    for out in ("one.json", "two.json"):  # from the cache
        assert here(*words, out, cwd=tmp_path).returncode == 0
        assert json.loads((tmp_path / out).read_text())["suites"]["regions"] == found


@pytest.mark.slow
def test_a_dataset_without_boxes_is_refused(scenes: Path, model: Path, tmp_path: Path) -> None:
    result = here("eval", model, scenes, "--suite", "regions", cwd=tmp_path)
    assert result.returncode == 2
    assert "has no given boxes; ingest them with --boxes-column" in result.stderr
