"""Draws a contact sheet: images with their regions, each above its best pair's sentence or its caption."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glitbuild.files import write_whole
from glitbuild.images.stored import open_rgb
from glitbuild.records import Box, Sample

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

MOST = 12
COLUMNS = 4
CELL = (360, 270)
"""Width and height of the space for an image, in pixels."""

TEXT_HEIGHT = 76
MARGIN = 12

KNOWN, FOUND, BEST = "#1b9e3e", "#f2a900", "#d7191c"
PAPER, INK = "#ffffff", "#222222"


@dataclass(frozen=True, slots=True)
class Example:
    """A sample, its JPEG, and the boxes that are known to be true, if any."""

    sample: Sample
    jpeg: bytes
    known: Sequence[Box] = ()


def contact_sheet(path: Path, examples: Sequence[Example]) -> Path:
    """Write a sheet of up to twelve examples to a file."""
    write_whole(path, sheet_png(examples))
    return path


def sheet_png(examples: Sequence[Example]) -> bytes:
    """Return a PNG with up to twelve examples, four per row.

    Green: boxes known to be true. Yellow: regions matched to sentences. Red: the best pair's region.
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(13)
    rows = -(-len(examples) // COLUMNS)
    width, height = CELL[0] + MARGIN, CELL[1] + TEXT_HEIGHT + MARGIN
    sheet = Image.new("RGB", (COLUMNS * width + MARGIN, rows * height + 3 * MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    known = [("known", KNOWN)] if any(example.known for example in examples) else []
    matched = [("chosen for a sentence", FOUND), ("best pair: the sentence below", BEST)]
    left = MARGIN
    for name, colour in known + (matched if any(example.sample.matched for example in examples) else []):
        draw.rectangle((left, 8, left + 14, 20), outline=colour, width=3)
        draw.text((left + 20, 6), name, INK, font)
        left += 50 + round(draw.textlength(name, font))
    for number, example in enumerate(examples):
        x = MARGIN + number % COLUMNS * width
        y = 2 * MARGIN + MARGIN // 2 + number // COLUMNS * height
        picture = _with_boxes(example)
        sheet.paste(picture, (x + (CELL[0] - picture.width) // 2, y))
        for line, text in enumerate(_lines(_text(example.sample), draw, font)):
            draw.text((x, y + CELL[1] + 4 + 17 * line), text, INK, font)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _with_boxes(example: Example) -> "Image.Image":
    from PIL import ImageDraw, ImageOps

    whole = open_rgb(example.jpeg)
    picture = ImageOps.contain(whole, CELL)
    scale = picture.width / whole.width
    draw = ImageDraw.Draw(picture)
    drawn = [(box, KNOWN, 1) for box in example.known]
    if matched := example.sample.matched:
        best = matched.pairs[matched.best_pair].region
        chosen = sorted({pair.region for pair in matched.pairs} - {best})
        drawn += [(matched.regions[i].box, FOUND, 2) for i in chosen] + [(example.sample.best.box, BEST, 3)]
    for box, colour, width in drawn:
        x1, y1, x2, y2 = (value * scale for value in box)
        draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=width)
    return picture


def _text(sample: Sample) -> str:
    return f"{sample.best.similarity:.2f}  {sample.best.text}" if sample.matched else sample.caption


def _lines(
    text: str, draw: "ImageDraw.ImageDraw", font: "ImageFont.ImageFont | ImageFont.FreeTypeFont"
) -> list[str]:
    """Break a text into at most four lines that fit below an image."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font) <= CELL[0]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines if len(lines) <= 4 else [*lines[:3], lines[3] + " ..."]
