from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

Encode = Callable[..., bytes]


def encode_image(
    mode: str = "RGB", size: tuple[int, int] = (24, 16), format: str = "JPEG", color: Any = None, **options: Any
) -> bytes:
    """A picture of two halves, the left of the given colour, so that a turn shows."""
    image = Image.new(mode, size)
    if color is not None:
        image.paste(color, (0, 0, size[0] // 2, size[1]))
    data = BytesIO()
    image.save(data, format, **options)
    return data.getvalue()


@pytest.fixture(scope="session")
def encode() -> Encode:
    return encode_image


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    return encode_image(color=(200, 30, 30))
