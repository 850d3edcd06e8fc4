from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from glitbuild.records import ImageInfo, Matched, Pair, Region, Sample, Source
from glitbuild.stages.publish.sheet import BEST, FOUND, KNOWN, Example, contact_sheet
from tests.factories import jpeg

pytestmark = pytest.mark.slow

SAMPLE = Sample(
    "000000000",
    "A red car. A blue mug, " + "very " * 60 + "small.",
    ImageInfo(200, 150, "0" * 64, "jpeg", False),
    Source("", ""),
    Matched(
        ((0, 10), (11, 331)),
        (Region((0, 0, 100, 75), "quadrant"), Region((50, 40, 150, 120), "object", "mug", 0.9)),
        (Pair(0, 0, 0.2), Pair(1, 1, 0.3)),
        1,
    ),
)


def colours(path: Path) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.asarray(Image.open(path)).reshape(-1, 3)}


@pytest.mark.parametrize("count", [1, 4, 5, 12])
def test_every_example_has_its_cell(count: int, tmp_path: Path) -> None:
    path = contact_sheet(tmp_path / "sheet.png", [Example(SAMPLE, jpeg(200, 150), [(5, 5, 60, 60)])] * count)
    sheet = Image.open(path)
    assert sheet.width == 4 * 372 + 12
    assert sheet.height == -(-count // 4) * 358 + 36
    assert {ImageColor.getrgb(colour) for colour in (KNOWN, FOUND, BEST)} <= colours(path)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_without_truth_nothing_is_green(tmp_path: Path) -> None:
    path = contact_sheet(tmp_path / "sheet.png", [Example(SAMPLE, jpeg(200, 150), [])])
    assert ImageColor.getrgb(KNOWN) not in colours(path)
    assert ImageColor.getrgb(BEST) in colours(path)


def test_a_sample_that_is_not_matched_has_no_boxes(tmp_path: Path) -> None:
    path = contact_sheet(tmp_path / "sheet.png", [Example(replace(SAMPLE, matched=None), jpeg(200, 150))])
    assert Image.open(path).height == 358 + 36
    assert not {ImageColor.getrgb(colour) for colour in (KNOWN, FOUND, BEST)} & colours(path)
