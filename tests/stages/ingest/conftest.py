import json
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def encode_image(
    mode: str = "RGB",
    size: tuple[int, int] = (24, 16),
    format: str = "JPEG",
    color: Any = None,
    **options: Any,
) -> bytes:
    """A picture of two halves, the left of the given colour, so that a turn shows."""
    image = Image.new(mode, size)
    if color is not None:
        image.paste(color, (0, 0, size[0] // 2, size[1]))
    return save(image, format, **options)


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    data = BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


def exif(orientation: int) -> Image.Exif:
    record = Image.Exif()
    record[0x0112] = orientation
    return record


def write_tar(path: Path, members: Iterable[tuple[str, Any]], format: int = tarfile.PAX_FORMAT) -> Path:
    """Write members (name, bytes, text or object), the way any tar writer does."""
    with tarfile.open(path, "w", format=format) as tar:
        for name, content in members:
            if isinstance(content, dict | list):
                content = json.dumps(content)
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    return path


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return encode_image(color=(200, 30, 30))
