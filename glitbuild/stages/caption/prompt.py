"""What is asked: the prompt, and the picture as it is sent."""

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from glitbuild.errors import ConfigError
from glitbuild.images.jpeg import Jpeg
from glitbuild.records import Rejected, SkipReason


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's text, without the white space around it."""

    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of its UTF-8, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_prompt(path: str | None) -> Prompt:
    """Read the prompt from a file; None takes the package's.

    Raises:
        ConfigError: the file can't be read, isn't UTF-8, or has nothing in it.
    """
    file = files(__package__).joinpath("prompt.txt") if path is None else Path(path)
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--prompt {path}", why, "give a UTF-8 text file") from error
    if not text:
        raise ConfigError(f"--prompt {path}", "it is empty", "write into it what the model is to do")
    return Prompt(text)


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
