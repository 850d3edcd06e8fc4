"""Renders samples, and the page around them, as one self-contained HTML file."""

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
"""Size in bytes below which a JPEG is little more than its tables."""


def thumbnail(jpeg: bytes, side: int) -> bytes:
    """Return an image as stored, downscaled to at most ``side`` pixels on its longer side; never enlarged.

    Raises:
        OSError: the JPEG is damaged.
    """
    return _encoded(open_rgb(jpeg, 2 * side), side)


def crop(jpeg: bytes, box: Box, side: int) -> bytes:
    """Return a region of an image, downscaled in the same way: all pixels that the box touches."""
    image = open_rgb(jpeg)
    return _encoded(image.crop(pixels(box, *image.size)), side)


def fit(pictures: Sequence[bytes], room: int) -> tuple[list[bytes], int]:
    """Shrink the largest images until all of them together fit as data URLs.

    Args:
        pictures: JPEGs of the images.
        room: maximum total size of the data URLs in bytes.

    Returns:
        The images, and the number of those that were shrunk.

    Raises:
        ConfigError: that many images don't fit.
    """
    most = _level([len(picture) for picture in pictures], room * 3 // 4 - 24 * len(pictures))
    if most < LEAST_BYTES and max(map(len, pictures), default=0) > most:
        fix = "give fewer --samples"
        raise ConfigError(
            f"{len(pictures):,} samples", "too many for one page, even if their images are shrunk", fix
        )
    fitting = [picture if len(picture) <= most else _shrunk(picture, most) for picture in pictures]
    return fitting, sum(len(picture) > most for picture in pictures)


def data_url(jpeg: bytes) -> str:
    """Return a JPEG as a data URL."""
    return "data:image/jpeg;base64," + b64encode(jpeg).decode()


def _level(sizes: Sequence[int], room: int) -> int:
    """Return the size to which larger images must be cut so that the sum fits; the maximum if it fits already."""
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
    """Render a page.

    All values are escaped, and a Content-Security-Policy allows only the page's own style and script by their
    hashes, and embedded images: nothing in a caption can become markup, and nothing is fetched.

    Args:
        template: file name of the template.
        styles: file names of the style sheets, in order.
        script: file name of the script, if there is one.
        **values: values for the template.
    """
    style, code = "".join(map(_read, styles)), _read(script) if script else ""
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(code)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template).render(style=style, script=code, policy=policy, **values)
    return page.encode(errors="replace")  # half a surrogate pair, which can't be encoded, must not fail the page


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined)


def _template(name: str) -> str:
    """Return a template without indentation: browsers create a node for each line break between tags."""
    return re.sub(r"\s*\n\s*(?=[<{]|$)", "", _read(name))


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    if not text:
        return "'none'"
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


COLOURS = 10
"""Number of colours of regions; further regions of an image reuse them. See ``templates/preview.css``."""

NOMINAL_SIDE = 620
"""Length of an image's longer side, in pixels, at which labels have their nominal size."""

BAR_WIDTH = 44


@dataclass(frozen=True, slots=True)
class Mark:
    """A region drawn on an image.

    Attributes:
        number: index of the region in the sample.
        region: box in pixels of the stored image, kind and score.
        name: label of the region, or which default region it is.
        colour: 0 to COLOURS - 1; the same for all sentences of the region.
        sentences: numbers, from 1, of the sentences that it is best for; empty if there are none.
        best: whether it is the best pair's region.
    """

    number: int
    region: Region
    name: str
    colour: int
    sentences: tuple[int, ...]
    best: bool

    @property
    def is_default(self) -> bool:
        """Whether the region is a quadrant or the centre."""
        return self.region.kind in ("quadrant", "center")

    @property
    def style(self) -> str:
        """Style in addition to the colour: of a default region, of one that people marked, or of any other."""
        return "default" if self.is_default else "given" if self.region.kind == "given" else ""

    @property
    def tag(self) -> str:
        """Text in the corner of the region."""
        few = [str(number) for number in self.sentences[:3]] + ["…"] * (len(self.sentences) > 3)
        return ("★ " if self.best else "") + " ".join(few)

    def rectangle(self, inset: float = 0.0) -> dict[str, float]:
        """Return the box as SVG attributes, moved inwards by ``inset`` pixels."""
        left, top, right, bottom = self.region.box
        sides = {"width": right - left - 2 * inset, "height": bottom - top - 2 * inset}
        place = {"x": left + inset, "y": top + inset} | {name: max(side, 0.0) for name, side in sides.items()}
        return {name: round(value, 2) for name, value in place.items()}


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence: number from 1, text, region, cosine similarity to the region, and length of the bar for it."""

    number: int
    text: str
    mark: Mark
    similarity: float
    best: bool
    bar: float


@dataclass(frozen=True, slots=True)
class Card:
    """A sample as the page shows it.

    Attributes:
        sample: record of the sample.
        picture: thumbnail as a data URL.
        unit: pixels of the stored image per unit of a label.
        marks: regions, largest first, so that smaller ones are drawn on top.
        lines: sentences; empty before ``match``.
    """

    sample: Sample
    picture: str
    unit: float
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]


def card(sample: Sample, picture: str, low: float, high: float) -> Card:
    """Prepare a sample for the page.

    Args:
        sample: sample, matched or not.
        picture: thumbnail as a data URL.
        low: lowest similarity on the page, at which bars are empty.
        high: highest similarity on the page, at which bars are full.
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
    """Return a region's label, or the name of the default region."""
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
