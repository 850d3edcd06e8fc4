"""A stored JPEG as it is sent to the model."""

import base64
from io import BytesIO

from glitbuild.records import SkipReason
from glitbuild.stages.ingest.jpeg import Jpeg
from glitbuild.stages.ingest.source import Rejected

QUALITY = 95


def data_url(jpeg: bytes, max_side: int) -> str:
    """Return a picture as a data URL; the stored bytes themselves where a model can take them as they are.

    A model sees the pixels as stored, like the detectors and CLIP: of a picture whose EXIF or XMP data ask for a
    turn, which some servers would make and some not, these data stay behind. Those with a longer side than
    ``max_side`` are reduced and encoded anew, and other colours become RGB.

    Raises:
        Rejected: the JPEG is damaged.
    """
    from PIL import Image

    try:
        stored = Jpeg(jpeg)
        image = stored.open()
        if max(image.size) <= max_side and image.mode in ("RGB", "L"):
            jpeg = stored.as_stored()
        else:
            image.draft("RGB", (max_side, max_side))  # decodes at the smallest scale that is still larger
            picture = image.convert("RGB")
            picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
            picture.info = {}
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
            jpeg = buffer.getvalue()
    except Exception as error:  # a hostile file can make a decoder raise almost anything
        raise Rejected(SkipReason.IMAGE_CORRUPT, f"damaged JPEG: {error}") from error
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
