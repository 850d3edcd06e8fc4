"""A sample as the page shows it."""

from dataclasses import dataclass
from itertools import groupby

from glitbuild.flism.boxes import area
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
        region: its box, in pixels of the stored image, kind and score.
        name: its label, or which default region it is.
        colour: 0 to COLOURS - 1; the same for all sentences of the region.
        sentences: numbers, from 1, of those it is best for; none where it is best for no sentence.
        best: whether it is the best pair's.
    """

    number: int
    region: Region
    name: str
    colour: int
    sentences: tuple[int, ...]
    best: bool

    @property
    def is_default(self) -> bool:
        """Whether it is a quadrant or the centre."""
        return self.region.kind in ("quadrant", "center")

    @property
    def style(self) -> str:
        """How it is drawn beside its colour: as a default region, as one that people marked, or as any other."""
        return "default" if self.is_default else "given" if self.region.kind == "given" else ""

    @property
    def tag(self) -> str:
        """What stands in its corner."""
        few = [str(number) for number in self.sentences[:3]] + ["…"] * (len(self.sentences) > 3)
        return ("★ " if self.best else "") + " ".join(few)

    def rectangle(self, inset: float = 0.0) -> dict[str, float]:
        """Return the box as SVG wants it, moved inwards by some pixels."""
        left, top, right, bottom = self.region.box
        sides = {"width": right - left - 2 * inset, "height": bottom - top - 2 * inset}
        place = {"x": left + inset, "y": top + inset} | {name: max(side, 0.0) for name, side in sides.items()}
        return {name: round(value, 2) for name, value in place.items()}


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
    for index, (pair, found) in enumerate(zip(matched.pairs, sample.pairs, strict=True)):
        bar = BAR_WIDTH * (pair.similarity - low) / ((high - low) or 1.0)
        best = index == matched.best_pair
        lines.append(Line(pair.sentence + 1, found.text, marks[pair.region], pair.similarity, best, round(bar, 1)))
    by_area = sorted(marks, key=lambda mark: -area(mark.region.box))
    return Card(sample, picture, unit, tuple(by_area), tuple(lines))


def region_name(region: Region) -> str:
    """Return a region's label, or which of the default regions it is."""
    if region.kind in ("object", "given"):
        return region.label or ("object" if region.kind == "object" else "given region")
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
    return [
        Mark(
            number,
            region,
            region_name(region),
            colours.get(number, 0),
            sentences.get(number, ()),
            number == best,
        )
        for number, region in enumerate(matched.regions)
    ]
