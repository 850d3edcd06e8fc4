"""A stored JPEG as it is sent to the model."""

import base64
from io import BytesIO

from glitbuild.ingest.source import Rejected
from glitbuild.records import SkipReason

QUALITY = 95
ORIENTATION = 0x0112


def data_url(jpeg: bytes, max_side: int) -> str:
    """Return a picture as a data URL; the stored bytes themselves where a model can take them as they are.

    Others are encoded anew: those with a longer side than ``max_side`` are reduced, those with an EXIF
    orientation turned upright, which some servers would do and some not, and other colours become RGB.

    Raises:
        Rejected: the JPEG is damaged.
    """
    from PIL import Image, ImageOps
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        image = JpegImageFile(BytesIO(jpeg))
        turned = image.getexif().get(ORIENTATION, 1) != 1
        if turned or max(image.size) > max_side or image.mode not in ("RGB", "L"):
            image.draft("RGB", (max_side, max_side))  # decodes at the smallest scale that is still larger
            picture = ImageOps.exif_transpose(image).convert("RGB")
            picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
            picture.info = {}
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
            jpeg = buffer.getvalue()
    except Exception as error:  # a hostile file can make a decoder raise almost anything
        raise Rejected(SkipReason.IMAGE_CORRUPT, f"damaged JPEG: {error}") from error
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
