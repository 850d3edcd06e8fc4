"""From the bytes of an input image to the JPEG that is stored, and back to pixels."""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from glitbuild.ingest.source import Rejected
from glitbuild.records import ImageInfo, SkipReason

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


def store_image(data: bytes, max_pixels: int, max_side: int | None = None) -> tuple[bytes, ImageInfo]:
    """Check an image in full and prepare it for a shard.

    A JPEG keeps its bytes. Other formats, and pictures that are made smaller, become one RGB JPEG, quality
    95 without chroma subsampling: turned as their EXIF orientation says, transparent parts on white, 16-bit
    grey by its upper eight bits.
    May be called from several threads at a time.

    Args:
        data: the encoded image.
        max_pixels: the largest width times height; a larger image is refused by its header, undecoded.
        max_side: a picture whose longer side has more pixels is made smaller, so that it has as many.

    Returns:
        The JPEG and what is known of it.

    Raises:
        Rejected: with the reason the image can't be stored for.
    """
    from PIL import Image

    if not data:
        raise Rejected(SkipReason.IMAGE_EMPTY, "the image has no bytes")
    reader = _find_reader(data)
    try:
        image = reader(BytesIO(data))
        _check_header(image, max_pixels)
        too_long = max_side is not None and max(image.size) > max_side
        if image.format == "JPEG" and not too_long:
            image.load()
            return data, _info(image, data, "jpeg", reencoded=False)
        _check_frames(image)
        rgb = _to_rgb(image)
        if max_side is not None and too_long:
            rgb = _smaller(rgb, max_side)
        stored = BytesIO()
        rgb.save(stored, "JPEG", quality=QUALITY, subsampling=0, icc_profile=_rgb_profile(image))
        source_format = str(image.format).lower()
        return stored.getvalue(), _info(rgb, stored.getvalue(), source_format, reencoded=True)
    except Rejected:
        raise
    except Image.DecompressionBombError as error:
        raise Rejected(SkipReason.IMAGE_TOO_LARGE, _reason(error)) from error
    except Exception as error:  # a hostile file can make a decoder raise almost anything
        raise Rejected(SkipReason.IMAGE_CORRUPT, _reason(error)) from error


def open_rgb(data: bytes, side: int | None = None) -> "Image":
    """Decode a stored JPEG: RGB, the pixels as stored, without the turn its EXIF orientation asks for.

    Args:
        data: the JPEG.
        side: where no more than a thumbnail is needed: both edges may be cut to a half, a quarter or an eighth,
            many times faster, as long as neither gets shorter than this.

    Raises:
        OSError: the JPEG is damaged.
    """
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        image = JpegImageFile(BytesIO(data))
        if side:
            image.draft(None, (side, side))
        return image.convert("RGB")
    except Exception as error:  # as above
        raise OSError(f"damaged JPEG: {_reason(error)}") from error


@cache
def _readers() -> tuple[tuple[Callable[[bytes], bool | str], Callable[[BytesIO], "ImageFile"]], ...]:
    """Return, for each format, what knows its first bytes and what reads it.

    No other format is tried: exotic decoders are an attack surface. And the readers are called directly:
    ``Image.open`` has a size limit of its own, which is global, and it opens some JPEGs as MPO.
    """
    from PIL import (
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    readers: tuple[type[ImageFile], ...] = (
        *(JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile, WebPImagePlugin.WebPImageFile),
        *(GifImagePlugin.GifImageFile, BmpImagePlugin.BmpImageFile, TiffImagePlugin.TiffImageFile),
        *(AvifImagePlugin.AvifImageFile, Jpeg2KImagePlugin.Jpeg2KImageFile),
    )
    known = []
    for reader in readers:
        accepts = Image.OPEN[str(reader.format)][1]
        assert accepts is not None
        known.append((accepts, reader))
    return tuple(known)


def _find_reader(data: bytes) -> Callable[[BytesIO], "ImageFile"]:
    for accepts, reader in _readers():
        # The answer is a text where Pillow was built without that format.
        if accepts(data[:16]) is True:
            return reader
    detail = "its first bytes are none of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or JPEG 2000"
    raise Rejected(SkipReason.IMAGE_NOT_AN_IMAGE, detail)


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


def _to_rgb(image: "ImageFile") -> "Image":
    """Return the picture as it is meant to be seen, without metadata."""
    from PIL import Image, ImageOps

    image.load()
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF says nothing of the orientation; the pixels are whole
        upright = image
    if upright.mode == "F":
        raise Rejected(SkipReason.IMAGE_MODE, "its pixels are floating-point numbers")
    if upright.mode.startswith("I"):
        rgb = _upper_bits(upright).convert("RGB")
    elif upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        rgb = Image.alpha_composite(white, rgba).convert("RGB")
    else:
        rgb = upright.convert("RGB")
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
    """Return 16-bit grey in 8 bits. Pillow's own conversion clips, so that all but black turns white."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(image)
    if int(pixels.min()) < 0 or int(pixels.max()) > 0xFFFF:
        raise Rejected(SkipReason.IMAGE_MODE, "its pixels are integers of more than 16 bits")
    grey = (pixels >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[pixels == transparent] = 255
    return Image.fromarray(grey)


def _rgb_profile(image: "Image") -> bytes | None:
    """Return the colour profile where it is one of RGB; that of grey or ink fits the stored JPEG no more."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


def _info(image: "Image", stored: bytes, source_format: str, *, reencoded: bool) -> ImageInfo:
    return ImageInfo(*image.size, hashlib.sha256(stored).hexdigest(), source_format, reencoded)


def _reason(error: Exception) -> str:
    """Return Pillow's reason in one line, without the memory addresses that differ from run to run."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r" ?(?:object )?at 0x[0-9a-fA-F]+", "", text)
