"""A sample as a page shows it, and the page: one HTML file that needs nothing beside it."""

import math
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ConfigError
from glitbuild.flism.regions import area, pixels
from glitbuild.images.stored import open_rgb
from glitbuild.records import Box, Matched, Region, Sample

if TYPE_CHECKING:
    from jinja2 import Environment
    from PIL.Image import Image


QUALITY = 80
LEAST_BYTES = 1500
"""Below this a JPEG is little more than its tables."""


def thumbnail(jpeg: bytes, side: int) -> bytes:
    """Return a picture, as stored, so that neither edge is longer than ``side`` pixels; never enlarged.

    Raises:
        OSError: the JPEG is damaged.
    """
    return _encoded(open_rgb(jpeg, 2 * side), side)


def crop(jpeg: bytes, box: Box, side: int) -> bytes:
    """Return a region of a picture likewise: the pixels that the box touches."""
    image = open_rgb(jpeg)
    return _encoded(image.crop(pixels(box, *image.size)), side)


def fit(pictures: Sequence[bytes], room: int) -> tuple[list[bytes], int]:
    """Shrink the largest pictures until all of them together fit as data URLs.

    Args:
        pictures: JPEGs.
        room: bytes that all data URLs may take.

    Returns:
        The pictures, and how many of them were shrunk.

    Raises:
        ConfigError: there is no room for that many.
    """
    most = _level([len(picture) for picture in pictures], room * 3 // 4 - 24 * len(pictures))
    if most < LEAST_BYTES and max(map(len, pictures), default=0) > most:
        fix = "give fewer --samples"
        raise ConfigError(f"{len(pictures):,} samples", "more than fit on a page, however small", fix)
    fitting = [picture if len(picture) <= most else _shrunk(picture, most) for picture in pictures]
    return fitting, sum(len(picture) > most for picture in pictures)


def data_url(jpeg: bytes) -> str:
    """Return a JPEG as a URL that holds it."""
    return "data:image/jpeg;base64," + b64encode(jpeg).decode()


def _level(sizes: Sequence[int], room: int) -> int:
    """Return the size to which all larger ones must be cut so that the sum fits; the largest if it does already."""
    for index, size in enumerate(ordered := sorted(sizes)):
        share = room // (len(ordered) - index)
        if size > share:
            return max(share, 0)
        room -= size
    return max(sizes, default=0)


def _shrunk(jpeg: bytes, most: int) -> bytes:
    image = open_rgb(jpeg)
    while len(jpeg) > most:
        jpeg = _encoded(image, max(1, int(max(image.size) * min(0.95, math.sqrt(most / len(jpeg))))))
    return jpeg


def _encoded(image: "Image", side: int) -> bytes:
    image.thumbnail((side, side))
    content = BytesIO()
    image.save(content, "JPEG", quality=QUALITY, optimize=True)
    return content.getvalue()


FOLDER = files("glitbuild.stages.publish.page") / "templates"


def render(template: str, styles: Sequence[str], script: str = "", **values: Any) -> bytes:
    """Return a page.

    All values are escaped, and a Content-Security-Policy allows the page's own style and script by their hashes,
    and pictures that it holds: nothing in a caption can become markup, and nothing is fetched.

    Args:
        template: its file's name.
        styles: names of the style sheets, in order.
        script: name of the script, if it has one.
        **values: what the template shows.
    """
    style, code = "".join(map(_read, styles)), _read(script) if script else ""
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(code)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template).render(style=style, script=code, policy=policy, **values)
    return page.encode(errors="replace")  # half a surrogate pair, which no encoding has, must not cost the page


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined)


def _template(name: str) -> str:
    """Return a template without what only indents it: a browser makes a node of each line break between tags."""
    return re.sub(r"\s*\n\s*(?=[<{]|$)", "", _read(name))


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    if not text:
        return "'none'"
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


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
