"""From the bytes of an input image to the JPEG that is stored, and back to pixels."""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from glitbuild.images.jpeg import Jpeg, stated_orientation, upright
from glitbuild.images.png import MAX_PROFILE, open_png
from glitbuild.images.tiff import INVERTED, depth, open_tiff
from glitbuild.records import ImageInfo, Rejected, SkipReason

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MIN_SIDE = 8
"""Pixels of the shorter side; below it a quadrant isn't a picture."""
MAX_ASPECT = 100
"""The longer side over the shorter."""
MAX_SIDE = 65_500
"""Pixels of a side that libjpeg can write."""
QUALITY = 95
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
BAND = 256
"""Rows of a picture that are put on white at a time."""
JPEG_START = b"\xff\xd8\xff"


def store_image(
    data: bytes, max_pixels: int, max_side: int | None = None, look: "Callable[[Image], None] | None" = None
) -> tuple[bytes, ImageInfo]:
    """Check an image in full and prepare it for a shard, upright.

    A JPEG keeps its bytes, less the EXIF and XMP segments by which some readers would turn it and others not. Where
    these ask for a turn, it is turned without loss if its blocks allow. All other pictures become one RGB JPEG
    without metadata, quality 95, no chroma subsampling: turned as their EXIF orientation says, made smaller if they
    are too large, transparent parts on white, 16-bit grey by its upper eight bits.
    May be called from several threads at a time.

    Args:
        data: the encoded image.
        max_pixels: the largest width times height; a larger image is refused by its header, undecoded.
        max_side: a picture whose longer side has more pixels is made smaller, so that it has as many.
        look: called with the decoded picture that is stored, upright; it must not change it.

    Returns:
        The JPEG and what is known of it.

    Raises:
        Rejected: with the reason the image can't be stored for.
    """
    from PIL import Image

    if not data:
        raise Rejected(SkipReason.IMAGE_EMPTY, "the image has no bytes")
    try:
        jpeg = Jpeg(data) if data.startswith(JPEG_START) else None
        image = jpeg.open() if jpeg else _find_reader(data)(data)
        _check_header(image, max_pixels)
        if not jpeg:
            _check_frames(image)
        image.load()
        orientation = jpeg.orientation if jpeg else _orientation(image)
        too_long = max_side is not None and max(image.size) > max_side
        if jpeg and not too_long:
            lossless = jpeg.as_stored() if orientation == 1 else _turned(jpeg, image, orientation)
            if lossless:
                if look:
                    look(upright(image, orientation))
                size = image.size if orientation < 5 else image.size[::-1]
                return lossless, _info(size, lossless, "jpeg", reencoded=False)
        profile = _rgb_profile(image)
        rgb = to_rgb(image)
        if rgb is not image:
            image.close()  # one large picture less in memory
        if max_side is not None and too_long:
            rgb = _smaller(rgb, max_side)
        rgb = upright(rgb, orientation)
        if look:
            look(rgb)
        content = BytesIO()
        rgb.save(content, "JPEG", quality=QUALITY, subsampling=0, icc_profile=profile)
        stored = content.getvalue()
        return stored, _info(rgb.size, stored, str(image.format).lower(), reencoded=True)
    except Rejected:
        raise
    except Image.DecompressionBombError as error:
        raise Rejected(SkipReason.IMAGE_TOO_LARGE, _reason(error)) from error
    except Exception as error:  # a hostile file can make a decoder raise almost anything
        whole = str(error).startswith("unknown raw mode")
        raise Rejected(SkipReason.IMAGE_MODE if whole else SkipReason.IMAGE_CORRUPT, _reason(error)) from error


def upright_size(data: bytes) -> tuple[int, int]:
    """Return the width and height of an image once it is turned upright, by its header alone.

    Args:
        data: the encoded image, which ``store_image`` has taken.
    """
    jpeg = Jpeg(data) if data.startswith(JPEG_START) else None
    image = jpeg.open() if jpeg else _find_reader(data)(data)
    width, height = image.size
    orientation = jpeg.orientation if jpeg else _orientation(image)
    return (height, width) if orientation in SIDEWAYS else (width, height)


def open_rgb(data: bytes, side: int | None = None) -> "Image":
    """Decode a stored JPEG: RGB, the pixels as stored, and nothing by which a reader of the result could turn it.

    Args:
        data: the JPEG.
        side: where no more than a thumbnail is needed: both edges may be cut to a half, a quarter or an eighth,
            many times faster, as long as neither gets shorter than this.

    Raises:
        OSError: the JPEG is damaged.
    """
    try:
        image = Jpeg(data).open()
        if side:
            image.draft(None, (side, side))
        rgb = image.convert("RGB")
    except Exception as error:  # as above
        raise OSError(f"damaged JPEG: {_reason(error)}") from error
    rgb.info = {}
    return rgb


@cache
def _readers() -> tuple[tuple[Callable[[bytes], bool | str], Callable[[bytes], "ImageFile"]], ...]:
    """Return, for each format but JPEG, what knows its first bytes and what reads it.

    No other format is tried: exotic decoders are an attack surface. And the readers are called directly:
    ``Image.open`` has a size limit of its own, which is global, and it opens some JPEGs as MPO.
    """
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        Jpeg2KImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    def from_bytes(reader: "type[ImageFile]") -> Callable[[bytes], "ImageFile"]:
        return lambda data: reader(BytesIO(data))

    plugins: tuple[type[ImageFile], ...] = (
        *(WebPImagePlugin.WebPImageFile, GifImagePlugin.GifImageFile, BmpImagePlugin.BmpImageFile),
        *(AvifImagePlugin.AvifImageFile, Jpeg2KImagePlugin.Jpeg2KImageFile),
    )
    readers: list[tuple[type[ImageFile], Callable[[bytes], ImageFile]]] = [
        (PngImagePlugin.PngImageFile, open_png),
        (TiffImagePlugin.TiffImageFile, open_tiff),
        *((plugin, from_bytes(plugin)) for plugin in plugins),
    ]
    known = []
    for plugin, reader in readers:
        accepts = Image.OPEN[str(plugin.format)][1]
        assert accepts is not None
        known.append((accepts, reader))
    return tuple(known)


def _find_reader(data: bytes) -> Callable[[bytes], "ImageFile"]:
    for accepts, reader in _readers():
        # The answer is a text where Pillow was built without that format.
        if accepts(data[:16]) is True:
            return reader
    detail = "its first bytes are none of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or JPEG 2000"
    raise Rejected(SkipReason.IMAGE_NOT_AN_IMAGE, detail)


def _orientation(image: "ImageFile") -> int:
    # Pillow turns a TIFF itself when it is loaded.
    return 1 if image.format == "TIFF" else stated_orientation(image)


def _turned(jpeg: Jpeg, image: "Image", orientation: int) -> bytes | None:
    from glitbuild.images.jpeg_turn import turn_losslessly

    return turn_losslessly(jpeg, image, orientation)


def _check_header(image: "ImageFile", max_pixels: int) -> None:
    width, height = image.size
    size = f"{width} x {height} pixels"
    if width * height > max_pixels:
        raise Rejected(SkipReason.IMAGE_TOO_LARGE, f"{size}, at most {max_pixels} in all")
    if max(width, height) > MAX_SIDE:
        raise Rejected(SkipReason.IMAGE_TOO_LARGE, f"{size}, at most {MAX_SIDE} a side")
    if min(width, height) < MIN_SIDE:
        raise Rejected(SkipReason.IMAGE_TOO_SMALL, f"{size}, at least {MIN_SIDE} a side")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise Rejected(SkipReason.IMAGE_TOO_SMALL, f"{size}, at most {MAX_ASPECT} times as long as wide")


def _check_frames(image: "ImageFile") -> None:
    if getattr(image, "is_animated", False):
        raise Rejected(SkipReason.IMAGE_ANIMATED, f"a {image.format} of several frames or pages")


def to_rgb(image: "Image") -> "Image":
    """Return the colours of a loaded picture as they are meant to be seen, without metadata, not yet turned.

    A picture that is RGB loses its own metadata.

    Raises:
        Rejected: its pixels are floating-point numbers.
    """
    from PIL import Image

    if image.mode == "F":
        raise Rejected(SkipReason.IMAGE_MODE, "its pixels are floating-point numbers")
    rgb: Image.Image
    if image.mode.startswith("I"):
        rgb = _upper_bits(image).convert("RGB")
    elif image.has_transparency_data:
        rgb = Image.new("RGB", image.size)
        for top in range(0, image.height, BAND):  # the whole of it several times over would be too much memory
            band = _with_alpha(image.crop((0, top, image.width, min(top + BAND, image.height))))
            white = Image.new("RGBA", band.size, "white")
            rgb.paste(Image.alpha_composite(white, band).convert("RGB"), (0, top))
    else:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    rgb.info = {}  # a comment would be written
    return rgb


def _smaller(image: "Image", max_side: int) -> "Image":
    from PIL import Image

    scale = max_side / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    if min(width, height) < MIN_SIDE:
        size = f"{width} x {height} pixels once it is made smaller"
        raise Rejected(SkipReason.IMAGE_TOO_SMALL, f"{size}, at least {MIN_SIDE} a side")
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _upper_bits(image: "Image") -> "Image":
    """Return grey of 12 or 16 bits in 8. Pillow's own conversion clips, so that all but black turns white."""
    import numpy as np
    from PIL import Image
    from PIL.TiffImagePlugin import TiffImageFile

    pixels = np.asarray(image)
    if int(pixels.min()) < 0 or int(pixels.max()) > 0xFFFF:
        raise Rejected(SkipReason.IMAGE_MODE, "its pixels are integers of more than 16 bits")
    bits = depth(image) if isinstance(image, TiffImageFile) else 16
    grey = (pixels >> (bits - 8)).astype(np.uint8)
    if image.info.get(INVERTED):
        grey = 255 - grey
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[pixels == transparent] = 255
    return Image.fromarray(grey)


def _with_alpha(image: "Image") -> "Image":
    # Pillow knows no way from grey that is multiplied with its alpha to RGBA in one step.
    return image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")


def _rgb_profile(image: "Image") -> bytes | None:
    """Return the colour profile where it is one of RGB; that of grey or ink fits the stored JPEG no more."""
    profile = image.info.get("icc_profile")
    fits = isinstance(profile, bytes) and profile[16:20] == b"RGB " and len(profile) <= MAX_PROFILE
    return profile if fits else None


def _info(size: tuple[int, int], stored: bytes, source_format: str, *, reencoded: bool) -> ImageInfo:
    return ImageInfo(*size, hashlib.sha256(stored).hexdigest(), source_format, reencoded)


def _reason(error: Exception) -> str:
    """Return Pillow's reason in one line, without the memory addresses that differ from run to run."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r" ?(?:object )?at 0x[0-9a-fA-F]+", "", text)
