"""Paints scenes."""

import io
from typing import TYPE_CHECKING

import numpy as np

from glitbuild.stages.scenes.background import paint_background
from glitbuild.stages.scenes.options import stream
from glitbuild.stages.scenes.places import TIMES
from glitbuild.stages.scenes.scene import Scene
from glitbuild.stages.scenes.sprites import sprite

if TYPE_CHECKING:
    from PIL import Image

QUALITY = 90


def render(scene: Scene) -> "Image.Image":
    """Return the picture of a scene."""
    from PIL import Image, ImageDraw

    rng = stream(scene.seed, scene.split, scene.base, "picture")
    image = Image.new("RGB", (scene.width, scene.height))
    draw = ImageDraw.Draw(image)
    paint_background(draw, scene.setting, scene.width, scene.height, rng)
    image = _lit(image, scene, rng)
    draw = ImageDraw.Draw(image)
    ground = scene.setting.horizon * scene.height
    order = sorted(range(len(scene.things)), key=lambda i: (scene.things[i].depth, i))
    for thing in scene.things:
        x1, _, x2, y2 = thing.box
        if y2 > ground:
            under = image.getpixel((min((x1 + x2) // 2, scene.width - 1), min(y2, scene.height - 1)))
            shadow = tuple(round(value * 0.72) for value in under)  # type: ignore[union-attr]
            draw.ellipse((x1, y2 - 5, x2, y2 + 3), fill=shadow)
    for i in order:
        thing = scene.things[i]
        colours, alpha, (left, top) = sprite(thing.look, thing.pixels)
        image.paste(colours, (thing.box[0] - left, thing.box[1] - top), alpha)
    return image


def encode(image: "Image.Image") -> bytes:
    """Return a picture as JPEG."""
    output = io.BytesIO()
    image.save(output, "JPEG", quality=QUALITY)
    return output.getvalue()


def _lit(image: "Image.Image", scene: Scene, rng: np.random.Generator) -> "Image.Image":
    """Give the background its grain, the side the light comes from, and the fog."""
    from PIL import Image, ImageChops

    setting = scene.setting
    across = np.linspace(0, 1, scene.width)
    slope = {"left": 1 - 0.28 * across, "right": 0.72 + 0.28 * across, "even": np.full_like(across, 0.93)}
    light = Image.fromarray((255 * slope[setting.light]).astype(np.uint8)[None, :])
    rows, columns = -(-scene.height // 2), -(-scene.width // 2)
    grain = Image.fromarray(rng.integers(236, 256, (rows, columns), dtype=np.uint8))
    grain = grain.resize((2 * columns, 2 * rows), Image.Resampling.NEAREST).crop((0, 0, *image.size))
    factor = ImageChops.multiply(grain, light.resize(image.size, Image.Resampling.NEAREST))
    lit = ImageChops.multiply(image, Image.merge("RGB", (factor, factor, factor)))
    if setting.weather == "foggy":
        haze = round(205 * TIMES[setting.time][2])
        lit = Image.blend(lit, Image.new("RGB", lit.size, (haze, haze, haze)), 0.5)
    return lit
