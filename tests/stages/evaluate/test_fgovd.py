import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glitbuild.errors import DatasetError
from glitbuild.stages.evaluate.fgovd import FGOVD_FILES, FineGrained, read_fgovd
from tests.stages.evaluate.layouts import FineGrained as Row
from tests.stages.evaluate.layouts import fgovd
from tests.stages.evaluate.vectors import unit

IMAGES = {"val2017/1.jpg": b"1", "train2017/2.jpg": b"2"}
ROWS: list[Row] = [
    ("val2017/1.jpg", [1, 2.5, 3, 4], "a clear cup", ["an opaque cup", "a dim cup", "a matt cup"]),
    ("train2017/2.jpg", [0, 0, 5, 6], "a clear jar", ["an opaque jar", "a dim jar"]),
    ("val2017/1.jpg", [7, 8, 9, 9], "a clear cup", ["an opaque cup", "a dim cup"]),
]


def test_ranks_count_the_false_captions_that_are_at_least_as_similar() -> None:
    rng = np.random.default_rng(0)
    texts, boxes = unit(rng.normal(size=(40, 4))), unit(rng.normal(size=(30, 4)))
    rows = [(int(box), *map(int, rng.permutation(40)[:11])) for box in rng.integers(0, 30, 200)]
    rows += [(0, 3, 3, *range(10, 19))] * 7  # ties
    benchmark = FineGrained(tuple(map(str, range(40))), (None,) * 30, {"hard": rows}, 5, ("color.json",))  # type: ignore[arg-type]
    report = benchmark.measure(texts, iter([boxes[:20], boxes[20:]]))
    ranks = []
    for box, *captions in rows:
        cosines = [np.float32(boxes[box].astype(float) @ texts[each].astype(float)) for each in captions]
        ranks.append(sum(cosine >= cosines[0] for cosine in cosines))
    assert report.figures["hard"]["accuracy"] == pytest.approx(100 * np.mean([rank == 1 for rank in ranks]))
    assert report.figures["hard"]["mean_rank"] == pytest.approx(np.mean(ranks))
    assert report.scores["hard"]["accuracy"].tolist() == [rank == 1 for rank in ranks]
    assert report.facts["examples"] == 207
    assert report.facts["ties"] == 7
    assert report.facts["too_few_false_captions"] == 5


def test_the_files_say_which_captions_belong_to_which_box(tmp_path: Path) -> None:
    found = read_fgovd(fgovd(tmp_path / "f", {"transparency": ROWS}, IMAGES))
    assert found.texts == ("a clear cup", "an opaque cup", "a dim cup", "a clear jar", "an opaque jar", "a dim jar")
    assert found.rows == {"transparency": [(0, 0, 1, 2), (1, 3, 4, 5), (2, 0, 1, 2)]}
    assert [image.read() for image in found.images] == [b"1", b"2", b"1"]
    assert [image.box for image in found.images] == [(1, 2.5, 4, 6.5), (0, 0, 5, 6), (7, 8, 16, 17)]
    assert len(found.missing) == len(FGOVD_FILES) - 1


def test_boxes_with_too_few_false_captions_are_left_out_and_counted(tmp_path: Path) -> None:
    short = ("val2017/1.jpg", [1, 1, 1, 1], "a clear mug", ["an opaque mug"])
    found = read_fgovd(fgovd(tmp_path / "f", {"transparency": [*ROWS, short]}, IMAGES))
    assert found.left_out == 1
    assert len(found.rows["transparency"]) == 3
    with pytest.raises(DatasetError, match=r"color.json: no box has 10 false captions"):
        read_fgovd(fgovd(tmp_path / "g", {"color": ROWS}, IMAGES))


@pytest.mark.parametrize("place", ["coco", "coco/images", "..", "../coco"])
def test_the_images_of_coco_may_lie_elsewhere(place: str, tmp_path: Path) -> None:
    root = fgovd(tmp_path / "f" / "g", {"transparency": ROWS}, IMAGES)
    for folder in ("val2017", "train2017"):
        (root / place).mkdir(parents=True, exist_ok=True)
        (root / folder).rename(root / place / folder)
    assert [image.read() for image in read_fgovd(root).images] == [b"1", b"2", b"1"]


def test_an_image_that_is_missing_is_named_with_its_row(tmp_path: Path) -> None:
    root = fgovd(tmp_path / "f", {"transparency": ROWS}, IMAGES)
    (root / "train2017" / "2.jpg").unlink()
    with pytest.raises(DatasetError, match=r"y.json, annotation 1: no such image: .*2.jpg; put the images"):
        read_fgovd(root)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("annotations",), [], "transparency.json: annotations is missing"),
        (("categories",), {}, "transparency.json: categories is missing"),
        (("images", 0, "file_name"), 7, "images 0: file_name is missing, or not text"),
        (("images", 1, "id"), 500, "images 1: id is missing, or not its own"),
        (("categories", 2, "id"), None, "categories 2: id is missing, or not its own"),
        (("annotations", 1), 7, "annotation 1: neg_category_ids is missing"),
        (("annotations", 1, "neg_category_ids"), 3, "annotation 1: neg_category_ids is missing"),
        (("annotations", 1, "neg_category_ids"), [3, 999], "annotation 1: it names 999"),
        (("annotations", 1, "category_id"), None, "annotation 1: it names None"),
        (("annotations", 1, "image_id"), 1, "annotation 1: it names 1"),
        (("annotations", 1, "bbox"), [1, 2, 3], "annotation 1: bbox is missing"),
        (("annotations", 1, "bbox"), [1, 2, 3, "4"], "annotation 1: bbox is missing"),
        (("annotations", 1, "bbox"), [1, 2, 0, 4], "annotation 1: bbox is missing"),
        (("annotations", 1, "bbox"), [1, float("nan"), 3, 4], "annotation 1: bbox is missing"),
    ],
)
def test_a_damaged_file_is_named_with_its_row(
    place: tuple[Any, ...], value: object, says: str, tmp_path: Path
) -> None:
    path = fgovd(tmp_path / "f", {"transparency": ROWS}, IMAGES) / "transparency.json"
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=says):
        read_fgovd(path.parent)
