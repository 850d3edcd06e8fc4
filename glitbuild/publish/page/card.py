"""A sample as the page shows it."""

from dataclasses import dataclass
from itertools import groupby

from glitbuild.records import Matched, Region, Sample

COLOURS = 10
"""Of regions; with more of them on a picture they come again. See ``templates/preview.css``."""

NOMINAL_SIDE = 620
"""Labels on a picture have the size they would have if its longer edge were as many pixels."""

BAR_WIDTH = 44


@dataclass(frozen=True, slots=True)
class Mark:
    """A region on the picture.

    Attributes:
        number: its index in the sample.
        name: its label, or which default region it is.
        kind: of the region.
        score: of the detection.
        left, top, width, height: in pixels of the stored image.
        colour: 0 to COLOURS - 1; the same for all sentences of the region.
        sentences: numbers, from 1, of those it is best for; none where it is best for no sentence.
        best: whether it is the best pair's.
    """

    number: int
    name: str
    kind: str
    score: float
    left: float
    top: float
    width: float
    height: float
    colour: int
    sentences: tuple[int, ...]
    best: bool

    @property
    def tag(self) -> str:
        """What stands in its corner."""
        few = [str(number) for number in self.sentences[:3]] + ["…"] * (len(self.sentences) > 3)
        return ("★ " if self.best else "") + " ".join(few)


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence: its number from 1, its text, its region, its cosine similarity with it, and this as a bar."""

    number: int
    text: str
    mark: Mark
    similarity: float
    best: bool
    bar: float


@dataclass(frozen=True, slots=True)
class Card:
    """A sample.

    Attributes:
        sample: its record.
        picture: its thumbnail as a URL.
        unit: pixels of the stored image that make one unit of a label on it.
        marks: its regions, the largest first, so that smaller ones lie on top.
        lines: its sentences; none before ``match``.
    """

    sample: Sample
    picture: str
    unit: float
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]


def card(sample: Sample, picture: str, low: float, high: float) -> Card:
    """Prepare a sample for the page.

    Args:
        sample: matched or not.
        picture: its thumbnail as a URL.
        low: the lowest similarity on the page, where bars begin.
        high: the highest, where they are full.
    """
    image = sample.image
    unit = max(image.width, image.height) / NOMINAL_SIDE
    if sample.matched is None:
        return Card(sample, picture, unit, (), ())
    matched = sample.matched
    marks = _marks(matched)
    lines = []
    for index, pair in enumerate(matched.pairs):
        start, end = matched.sentences[pair.sentence]
        bar = BAR_WIDTH * (pair.similarity - low) / ((high - low) or 1.0)
        best = index == matched.best_pair
        text = sample.caption[start:end]
        lines.append(Line(pair.sentence + 1, text, marks[pair.region], pair.similarity, best, round(bar, 1)))
    by_area = sorted(marks, key=lambda mark: -mark.width * mark.height)
    return Card(sample, picture, unit, tuple(by_area), tuple(lines))


def region_name(region: Region) -> str:
    """Return a region's label, or which of the default regions it is."""
    if region.kind == "object":
        return region.label or "object"
    if region.kind == "center":
        return "centre"
    left, top, *_ = region.box
    return f"{'lower' if top else 'upper'} {'right' if left else 'left'} quadrant"


def _marks(matched: Matched) -> list[Mark]:
    by_region = sorted(matched.pairs, key=lambda pair: (pair.region, pair.sentence))
    sentences = {
        region: tuple(pair.sentence + 1 for pair in pairs)
        for region, pairs in groupby(by_region, key=lambda pair: pair.region)
    }
    colours = {region: index % COLOURS for index, region in enumerate(sorted(sentences, key=sentences.__getitem__))}
    best = matched.pairs[matched.best_pair].region
    marks = []
    for number, region in enumerate(matched.regions):
        x1, y1, x2, y2 = region.box
        marks.append(
            Mark(
                number,
                region_name(region),
                region.kind,
                region.score,
                *(round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)),
                colours.get(number, 0),
                sentences.get(number, ()),
                number == best,
            )
        )
    return marks
