import json
from pathlib import Path

import numpy as np
import pytest

from glitbuild.errors import DatasetError, EvaluationError
from glitbuild.stages.evaluate.composition import (
    SUGARCREPE_FILES,
    SugarCrepe,
    read_sugarcrepe,
    read_winoground,
    winoground_hits,
)
from tests.stages.evaluate.layouts import sugarcrepe, winoground
from tests.stages.evaluate.vectors import unit

ROWS = {
    "swap_att": [("1.jpg", "a red cat and a dog", "a cat and a red dog"), ("2.jpg", "a hen", "a fox")],
    "add_obj": [("1.jpg", "a hen", "a hen and a fox")],
}
IMAGES = {"1.jpg": b"1", "2.jpg": b"2"}


def test_sugarcrepe_counts_the_true_captions_that_win() -> None:
    rng = np.random.default_rng(0)
    texts, images = unit(rng.normal(size=(40, 8))), unit(rng.normal(size=(30, 8)))
    rows = [(int(image), *map(int, rng.permutation(40)[:2])) for image in rng.integers(0, 30, 200)]
    rows += [(0, 3, 3)] * 7  # ties
    files = {"add_att": rows[:50], "swap_obj": rows[50:]}
    benchmark = SugarCrepe(tuple(map(str, range(40))), (None,) * 30, files, ("add_obj.json",))  # type: ignore[arg-type]
    report = benchmark.measure(texts, iter([images[:20], images[20:]]))
    for name, of in files.items():
        wins = [float(images[i] @ texts[true]) > float(images[i] @ texts[false]) for i, true, false in of]
        assert report.figures[name] == {"accuracy": pytest.approx(100 * np.mean(wins))}
        assert np.array_equal(report.scores[name]["accuracy"], wins)
    assert report.facts == {"images": 30, "examples": 207, "ties": 7, "missing": "add_obj.json"}


def test_winogrounds_scores_are_those_of_the_paper() -> None:
    scores = np.random.default_rng(0).integers(0, 4, (300, 2, 2)).astype(np.float32)
    found = winoground_hits(scores)
    for row, text, image, group in zip(scores, found["text"], found["image"], found["group"], strict=True):
        (c0i0, c0i1), (c1i0, c1i1) = row
        assert text == (c0i0 > c1i0 and c1i1 > c0i1)
        assert image == (c0i0 > c0i1 and c1i1 > c1i0)
        assert group == (text and image)
    assert 0 < found["group"].sum() < found["text"].sum() != found["image"].sum()


def test_winogrounds_captions_and_images_are_not_mixed_up(tmp_path: Path) -> None:
    root = winoground(tmp_path / "w", [(b"a", b"b", "one", "two"), (b"c", b"d", "two", "three")])
    benchmark = read_winoground(root)
    assert benchmark.texts == ("one", "two", "three")
    assert [image.read() for image in benchmark.images] == [b"a", b"b", b"c", b"d"]
    assert benchmark.rows == ((0, 1, 0, 1), (2, 3, 1, 2))
    # Captions one and three fit image 0 and 3; caption two is a bit of both.
    texts = unit(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    images = unit(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    report = benchmark.measure(texts, iter([images]))
    assert report.figures == {"examples": {"text": 100.0, "image": 0.0, "group": 0.0}}
    assert report.facts == {"images": 4, "examples": 2, "ties": 2}


def test_sugarcrepe_is_read_from_its_files(tmp_path: Path) -> None:
    found = read_sugarcrepe(sugarcrepe(tmp_path / "s", ROWS, IMAGES))
    assert found.rows == {"add_obj": [(0, 0, 1)], "swap_att": [(0, 2, 3), (1, 0, 4)]}
    assert found.texts[:3] == ("a hen", "a hen and a fox", "a red cat and a dog")
    assert [image.read() for image in found.images] == [b"1", b"2"]
    assert len(found.missing) == len(SUGARCREPE_FILES) - 2


@pytest.mark.parametrize("place", [".", "coco/images/val2017", "../val2017"])
def test_the_images_of_coco_may_lie_elsewhere(place: str, tmp_path: Path) -> None:
    root = sugarcrepe(tmp_path / "s", ROWS, IMAGES)
    (root / place).mkdir(parents=True, exist_ok=True)
    for path in (root / "val2017").iterdir():
        path.rename(root / place / path.name)
    assert [image.read() for image in read_sugarcrepe(root).images] == [b"1", b"2"]


def test_an_image_that_is_missing_is_named_with_its_row(tmp_path: Path) -> None:
    root = sugarcrepe(tmp_path / "s", ROWS, IMAGES)
    (root / "val2017" / "2.jpg").unlink()
    with pytest.raises(DatasetError, match=r"swap_att.json, row 1: no such image: .*val2017/2.jpg; put the images"):
        read_sugarcrepe(root)
    root = winoground(tmp_path / "w", [(b"a", b"b", "one", "two")])
    (root / "images" / "ex_0_img_1.png").unlink()
    with pytest.raises(DatasetError, match=r"examples.jsonl, line 1: no such image: .*ex_0_img_1.png; unpack"):
        read_winoground(root)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "swap_att.json: broken JSON"),
        ("[]", "swap_att.json: not a JSON object"),
        ("{}", "swap_att.json: not a JSON object"),
        ('{"5": 3}', "swap_att.json, row 5: filename is missing"),
        ('{"5": {"filename": "1.jpg", "caption": "a"}}', "row 5: negative_caption is missing"),
        (
            '{"5": {"filename": "1.jpg", "caption": 7, "negative_caption": "b"}}',
            "row 5: caption is missing, or not",
        ),
    ],
)
def test_a_damaged_file_of_sugarcrepe_is_named_with_its_row(content: str, says: str, tmp_path: Path) -> None:
    root = sugarcrepe(tmp_path / "s", ROWS, IMAGES)
    (root / "swap_att.json").write_text(content)
    with pytest.raises(DatasetError, match=says):
        read_sugarcrepe(root)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "examples.jsonl, line 2: broken JSON"),
        (json.dumps({"image_0": "ex_0_img_0", "image_1": "ex_0_img_1"}), "line 2: caption_0 is missing"),
    ],
)
def test_a_damaged_line_of_winoground_is_named(line: str, says: str, tmp_path: Path) -> None:
    root = winoground(tmp_path / "w", [(b"a", b"b", "one", "two")])
    with (root / "examples.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DatasetError, match=says):
        read_winoground(root)


def test_winoground_without_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="it has no examples"):
        read_winoground(winoground(tmp_path / "w", []))


def test_embeddings_that_are_not_numbers_are_refused() -> None:
    benchmark = SugarCrepe(("a", "b"), (), {"add_att": [(0, 0, 1)]}, ())
    with pytest.raises(EvaluationError, match="text embeddings"):
        benchmark.measure(np.full((2, 4), np.nan, dtype=np.float32), iter([]))
