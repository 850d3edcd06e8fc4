"""Converting input images to the JPEGs that are stored, and decoding these."""

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
"""Least pixels of the shorter side; below it, a quadrant would be too small to be an image."""
MAX_ASPECT = 100
"""Largest ratio of the longer to the shorter side."""
MAX_SIDE = 65_500
"""Most pixels of a side that libjpeg can write."""
QUALITY = 95
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
BAND = 256
"""Number of rows of an image that are composited onto white at a time."""
JPEG_START = b"\xff\xd8\xff"


def store_image(
    data: bytes, max_pixels: int, max_side: int | None = None, look: "Callable[[Image], None] | None" = None
) -> tuple[bytes, ImageInfo]:
    """Check an image completely and prepare it for a shard, upright.

    A JPEG keeps its bytes, except for EXIF and XMP segments that would make some readers rotate it and others not.
    If these ask for a rotation, it is rotated without loss if its blocks permit. All other images become an RGB
    JPEG without metadata, with quality 95 and no chroma subsampling: rotated according to their EXIF orientation,
    shrunk if they are too large, with transparent parts on white, and 16-bit grey reduced to its upper eight bits.
    May be called from several threads at a time.

    Args:
        data: encoded image.
        max_pixels: largest width times height; a larger image is refused by its header, without decoding it.
        max_side: largest longer side in pixels; a larger image is shrunk to it.
        look: function called with the decoded, upright image that is stored; it must not modify the image.

    Returns:
        The JPEG and its properties.

    Raises:
        Rejected: the image can't be stored, for the given reason.
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
            image.close()  # frees the memory of a large image
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
    """Return the width and height of an image after making it upright, from its header alone.

    Args:
        data: encoded image that ``store_image`` has accepted.
    """
    jpeg = Jpeg(data) if data.startswith(JPEG_START) else None
    image = jpeg.open() if jpeg else _find_reader(data)(data)
    width, height = image.size
    orientation = jpeg.orientation if jpeg else _orientation(image)
    return (height, width) if orientation in SIDEWAYS else (width, height)


def open_rgb(data: bytes, side: int | None = None) -> "Image":
    """Decode a stored JPEG to RGB, with the pixels as stored and no metadata that could make a reader rotate it.

    Args:
        data: stored JPEG.
        side: least length of the sides, if a thumbnail is enough: both sides may be reduced to a half, a quarter or
            an eighth, which is many times faster, as long as neither gets shorter than this.

    Raises:
        OSError: the JPEG is damaged.
    """
    try:
        image = Jpeg(data).open()
        if side:
            image.draft(None, (side, side))
        rgb = image.convert("RGB")
    except Exception as error:  # a decoder can raise almost anything
        raise OSError(f"damaged JPEG: {_reason(error)}") from error
    rgb.info = {}
    return rgb


def decode_rgb(data: bytes) -> "Image":
    """Decode an image of any format that ``store_image`` accepts, as the transforms of open_clip do.

    That is how published metrics are measured: without rotation by the EXIF orientation, with the first of several
    frames, and with the colour of transparent pixels as if they were opaque.

    Raises:
        OSError: the image is damaged, or of another format.
    """
    if data.startswith(JPEG_START):
        return open_rgb(data)
    try:
        rgb = _find_reader(data)(data).convert("RGB")
    except Rejected as error:
        raise OSError(error.detail) from error
    except Exception as error:  # a decoder can raise almost anything
        raise OSError(f"damaged image: {_reason(error)}") from error
    rgb.info = {}
    return rgb


@cache
def _readers() -> tuple[tuple[Callable[[bytes], bool | str], Callable[[bytes], "ImageFile"]], ...]:
    """Return, for each format except JPEG, a function that recognises its first bytes and one that opens it.

    No other format is tried, because exotic decoders are an attack surface. The readers are called directly,
    because ``Image.open`` has its own global size limit and opens some JPEGs as MPO.
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
        # The result is a string if Pillow was built without that format.
        if accepts(data[:16]) is True:
            return reader
    detail = "its first bytes are none of JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or JPEG 2000"
    raise Rejected(SkipReason.IMAGE_NOT_AN_IMAGE, detail)


def _orientation(image: "ImageFile") -> int:
    # Pillow itself makes a TIFF upright while loading it.
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
    """Return a loaded image as RGB with the intended colours, without metadata, not yet made upright.

    An image that is already RGB is returned itself, and loses its metadata.

    Raises:
        Rejected: the pixels are floating-point numbers.
    """
    from PIL import Image

    if image.mode == "F":
        raise Rejected(SkipReason.IMAGE_MODE, "its pixels are floating-point numbers")
    rgb: Image.Image
    if image.mode.startswith("I"):
        rgb = _upper_bits(image).convert("RGB")
    elif image.has_transparency_data:
        rgb = Image.new("RGB", image.size)
        for top in range(
            0, image.height, BAND
        ):  # in bands, because several copies of the image would need too much memory
            band = _with_alpha(image.crop((0, top, image.width, min(top + BAND, image.height))))
            white = Image.new("RGBA", band.size, "white")
            rgb.paste(Image.alpha_composite(white, band).convert("RGB"), (0, top))
    else:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    rgb.info = {}  # otherwise a comment would be written to the JPEG
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
    """Convert grey of 12 or 16 bits to 8 bits; Pillow's own conversion clips, so that all but black turns white."""
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
    # Pillow can't convert grey with premultiplied alpha to RGBA in one step.
    return image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")


def _rgb_profile(image: "Image") -> bytes | None:
    """Return the colour profile if it is for RGB; one for grey or CMYK doesn't apply to the stored JPEG."""
    profile = image.info.get("icc_profile")
    fits = isinstance(profile, bytes) and profile[16:20] == b"RGB " and len(profile) <= MAX_PROFILE
    return profile if fits else None


def _info(size: tuple[int, int], stored: bytes, source_format: str, *, reencoded: bool) -> ImageInfo:
    return ImageInfo(*size, hashlib.sha256(stored).hexdigest(), source_format, reencoded)


def _reason(error: Exception) -> str:
    """Return Pillow's reason as one line, without memory addresses, which differ from run to run."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r" ?(?:object )?at 0x[0-9a-fA-F]+", "", text)
