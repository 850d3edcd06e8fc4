import base64
import textwrap
from urllib.parse import quote

import pytest
from PIL import Image

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.files import embedded_image
from tests.stages.ingest.conftest import save

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF", "JPEG2000"]


def picture(format="PNG", side=40):
    image = Image.effect_noise((side, side), 80)
    return save(image.convert("RGB"), format)


def encoded(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: text.rstrip("="),
        lambda text: textwrap.fill(text, 76),
        lambda text: "\r\n".join(textwrap.wrap(text, 64)) + "\r\n",
        lambda text: f"  {text} ",
        lambda text: f"b'{text}'",
        lambda text: f"data:image/png;base64,{text}",
        lambda text: f" DATA:;BASE64,{quote(text)}",
        lambda text: f"data:image/jpeg;charset=utf-8;base64,{textwrap.fill(text, 76)}",
    ],
)
def test_base64(format, change):
    for side in (9, 10, 11, 40):
        data = picture(format, side)
        read = embedded_image(change(encoded(data)))
        assert read is not None and read() == data


def test_a_data_uri_without_base64():
    data = picture()
    read = embedded_image("data:image/png," + quote(data))
    assert read is not None and read() == data


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a.jpg",
            "",
            "9j",
            "photos/2024/a.jpg",
            "/9j/4AAQSkZJRg.jpg",
            "/9j/a",
            "https://a.org/b.png",
            "data/a.png",
        ),
        *("iVBORw0KGgo=", "b'photo'", "x" * 300, "Qk" + "a" * 60, "photos/" * 20 + "image", "sha256_" + "0" * 64),
    ],
)
def test_paths_and_addresses(text):
    assert embedded_image(text) is None


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (encoded(picture(side=200))[:-5] + "*", "base64 of "),
        (encoded(picture(side=200))[:-5] + "é", "base64 with U+00E9 at character "),
        (encoded(picture())[:-3].rstrip("=")[: 4 * 100 + 1], "base64 of 401 characters that can't be decoded"),
        ("data:image/png;base64", "a data: URI without a comma"),
        ("data:image/png;base64,?", "base64 of 1 characters"),
    ],
)
def test_damage(text, detail):
    read = embedded_image(text)
    assert read is not None
    with pytest.raises(Rejected) as caught:
        read()
    assert caught.value.reason == SkipReason.IMAGE_CORRUPT
    assert caught.value.detail.startswith(detail)


def test_a_text_longer_than_any_path_is_base64_of_something():
    read = embedded_image(encoded(b"<svg>" * 1000))
    assert read is not None and read() == b"<svg>" * 1000
    assert embedded_image("a long text of words, " * 1000) is None
