"""Paints scenes: the setting, then its objects."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from glitbuild.stages.scenes.layout import sprite
from glitbuild.stages.scenes.options import stream
from glitbuild.stages.scenes.scene import PLACES, TIMES, Scene, Setting
from glitbuild.stages.scenes.shapes import Rgb, mix

if TYPE_CHECKING:
    from PIL import Image


def paint_background(draw: Any, setting: Setting, width: int, height: int, rng: np.random.Generator) -> None:
    """Paint the setting onto a canvas of this size, by the drawing object of it."""
    place = PLACES[setting.place]
    ground = round(setting.horizon * height)
    bright = TIMES[setting.time][2]
    floor, wall = (mix((0, 0, 0), colour, bright) for colour in place.colours)
    if place.indoor:
        draw.rectangle((0, 0, width, ground), fill=wall)
        _paint_wall(draw, setting.place, wall, width, ground)
        left = round(width * (0.1 + 0.5 * float(rng.random())))
        window = (left, round(ground * 0.12), left + width // 4, round(ground * 0.72))
        _paint_sky(draw, setting, window, rng)
        x1, y1, x2, y2 = window
        for edge in (
            ((x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)),
            (((x1 + x2) / 2, y1), ((x1 + x2) / 2, y2)),
        ):
            draw.line(edge, fill=(246, 244, 238), width=4)
        draw.rectangle((0, ground - 6, width, ground), fill=mix(wall, (255, 255, 255), 0.4))
    else:
        _paint_sky(draw, setting, (0, 0, width, ground), rng)
        _paint_distance(draw, setting.place, wall, width, ground, rng)
    draw.rectangle((0, ground, width, height), fill=floor)
    if setting.place == "street":
        for x in range(-20, width, 90):
            y = (ground + height) // 2
            draw.polygon(
                ((x, y), (x + 44, y), (x + 40, y + 5), (x - 5, y + 5)), fill=mix(floor, (255, 255, 255), 0.6)
            )
    _paint_floor(draw, setting.floor, floor, width, ground, height, rng)


def _paint_sky(draw: Any, setting: Setting, area: tuple[int, int, int, int], rng: np.random.Generator) -> None:
    top, low, _ = TIMES[setting.time]
    if setting.weather != "clear":
        grey = (70, 74, 88) if setting.time == "night" else (186, 190, 196)
        top, low = mix(top, grey, 0.6), mix(low, grey, 0.6)
    x1, y1, x2, y2 = area
    for y in range(y1, y2, 3):
        draw.rectangle((x1, y, x2, min(y + 2, y2)), fill=mix(top, low, (y - y1) / (y2 - y1)))
    u = rng.random((26, 3)).tolist()
    if setting.weather == "clear":
        radius = max(6, (y2 - y1) // 9)
        x, y = x1 + (0.15 + 0.7 * u[0][0]) * (x2 - x1), y1 + (0.2 + 0.3 * u[0][1]) * (y2 - y1)
        disc = (236, 236, 214) if setting.time == "night" else (255, 240, 170)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=disc)
        if setting.time == "night":
            for a, b, _ in u[1:]:
                sx, sy = x1 + a * (x2 - x1 - 2), y1 + b * (y2 - y1 - 2)
                draw.rectangle((sx, sy, sx + 1, sy + 1), fill=(250, 250, 230))
    elif setting.weather == "cloudy":
        cloud = mix(low, (255, 255, 255), 0.2 if setting.time == "night" else 0.6)
        for a, b, c in u[:5]:
            w, h = (0.12 + 0.12 * c) * (x2 - x1), 0.13 * (y2 - y1)
            x, y = x1 + a * (x2 - x1 - 2 * w), y1 + (0.06 + 0.5 * b) * (y2 - y1)
            draw.ellipse((x, y, x + 1.4 * w, y + h), fill=cloud)
            draw.ellipse((x + 0.3 * w, y - 0.5 * h, x + w, y + h), fill=cloud)
            draw.ellipse((x + 0.7 * w, y + 0.1 * h, x + 2 * w, y + 1.1 * h), fill=cloud)
    elif setting.weather == "rainy":
        for a, b, _ in u:
            x, y = x1 + 4 + a * (x2 - x1 - 6), y1 + b * (y2 - y1 - 10)
            draw.line((x, y, x - 3, y + 10), fill=mix(low, (255, 255, 255), 0.5))


def _paint_wall(draw: Any, place: str, wall: Rgb, width: int, ground: int) -> None:
    seam = mix(wall, (0, 0, 0), 0.12)
    if place == "living room":
        for x in range(0, width, 36):
            draw.rectangle((x, 0, x + 10, ground), fill=mix(wall, (255, 255, 255), 0.25))
        return
    high, wide = (24, 24) if place == "kitchen" else (14, 34)
    for row, y in enumerate(range(0, ground, high)):
        draw.line((0, y, width, y), fill=seam)
        for x in range((row % 2) * (wide // 2 if place == "workshop" else 0), width, wide):
            draw.line((x, y, x, min(y + high, ground)), fill=seam)


def _paint_distance(draw: Any, place: str, colour: Rgb, width: int, ground: int, rng: np.random.Generator) -> None:
    u = rng.random((12, 2)).tolist()
    if place == "beach":
        draw.rectangle((0, ground * 0.72, width, ground), fill=colour)
        for a, b in u:
            x, y = a * width, ground * (0.75 + 0.22 * b)
            draw.line((x, y, x + 26, y), fill=mix(colour, (255, 255, 255), 0.4))
    elif place == "street":
        x = 0.0
        for a, b in u:
            w, top = 36 + 40 * a, ground * (0.25 + 0.45 * b)
            draw.rectangle((x, top, x + w, ground), fill=mix(colour, (0, 0, 0), 0.25 * a))
            for row in range(round(top) + 8, ground - 10, 18):
                for column in range(round(x) + 7, round(x + w) - 10, 14):
                    draw.rectangle((column, row, column + 5, row + 8), fill=mix(colour, (40, 50, 70), 0.55))
            x += w
    else:
        for a, b in u[:4]:
            middle, half = a * width, width * (0.25 + 0.2 * b)
            top = ground * (0.6 + 0.25 * b)
            draw.ellipse(
                (middle - half, top, middle + half, 2 * ground - top), fill=mix(colour, (0, 0, 0), 0.16 * b)
            )


def _paint_floor(
    draw: Any, texture: str, colour: Rgb, width: int, ground: int, height: int, rng: np.random.Generator
) -> None:
    dark, light = mix(colour, (0, 0, 0), 0.16), mix(colour, (255, 255, 255), 0.22)
    depth = height - ground
    u = rng.random((70, 3)).tolist()
    if texture == "ripples":
        for a, b, c in u:
            x, y, w = a * width, ground + 4 + b * depth, 20 + 40 * c
            draw.line(
                (x, y, x + w / 3, y - 2, x + 2 * w / 3, y + 1, x + w, y), fill=dark if c < 0.6 else light, width=2
            )
    elif texture == "specks":
        for a, b, c in u:
            x, y, r = a * width, ground + 3 + b * depth, 1 + 2 * c
            draw.ellipse((x, y, x + 2 * r, y + r), fill=dark if c < 0.7 else light)
    elif texture == "blades":
        for a, b, c in u + [[b, c, a] for a, b, c in u]:
            x, y = a * width, ground + 4 + b * depth
            draw.line((x, y, x + 8 * (c - 0.5), y - 9 - 6 * c), fill=dark if c < 0.5 else light, width=2)
    elif texture in ("boards", "tiles"):
        rows = [ground + depth * step * step / 36 for step in range(7)]
        for y in rows:
            draw.line((0, y, width, y), fill=dark, width=2)
        if texture == "tiles":
            for step in range(-8, 9):
                middle = width / 2
                draw.line(
                    (middle + step * width / 10, ground, middle + step * width / 4, height), fill=dark, width=2
                )


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
