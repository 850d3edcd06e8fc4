from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from glitbuild.images.stored import decode_rgb, open_rgb, store_image
from glitbuild.records import Rejected
from tests.stages.ingest.conftest import encode_image, exif, save

LIMIT = 1_000_000
RED, WHITE = (255, 0, 0), (255, 255, 255)
FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"]


def pixel(data, at=(2, 2)):
    return np.array(open_rgb(data).getpixel(at))


def near(data, color, at=(2, 2), tolerance=6):
    return np.abs(pixel(data, at).astype(int) - color).max() <= tolerance


class TestJpeg:
    @pytest.mark.parametrize(
        "data",
        [
            encode_image(),
            encode_image("L"),
            encode_image("CMYK"),
            encode_image(progressive=True),
            encode_image(exif=exif(1)),
            encode_image(quality=30, comment=b"kept"),
            encode_image() + b"what stands behind the end",
        ],
        ids=["rgb", "grey", "cmyk", "progressive", "exif", "comment", "trailing"],
    )
    def test_keeps_its_bytes(self, data):
        stored, info = store_image(data, LIMIT)
        assert stored == data
        assert (info.width, info.height) == (24, 16) == open_rgb(stored).size
        assert (info.source_format, info.reencoded) == ("jpeg", False)
        assert info.sha256 == sha256(data).hexdigest()

    def test_several_pictures_in_one_are_the_first(self):
        data = save(
            Image.new("RGB", (24, 16), RED), "MPO", save_all=True, append_images=[Image.new("RGB", (24, 16))]
        )
        stored, info = store_image(data, LIMIT)
        assert stored == data
        assert (info.source_format, info.reencoded) == ("jpeg", False)
        assert near(stored, RED)

    def test_cmyk_has_its_colours(self):
        data = save(Image.new("RGB", (24, 16), RED).convert("CMYK"), "JPEG")
        assert near(store_image(data, LIMIT)[0], RED)

    def test_is_not_turned_when_opened(self):
        data = save(Image.new("RGB", (24, 16)), "JPEG", exif=exif(6))
        opened = open_rgb(data)
        assert opened.size == ImageOps.exif_transpose(opened).size == (24, 16)
        assert opened.info == {}

    def test_damage_is_an_os_error(self) -> None:
        jpeg = encode_image(color=(200, 30, 30))
        with pytest.raises(OSError, match="damaged"):
            open_rgb(jpeg[: len(jpeg) // 2])
        with pytest.raises(OSError, match="damaged"):
            open_rgb(b"no jpeg")


class TestConversion:
    @pytest.mark.parametrize("format", [name for name in FORMATS if name != "JPEG"])
    def test_every_format_becomes_a_jpeg(self, format):
        stored, info = store_image(encode_image(format=format, color=RED), LIMIT)
        assert stored.startswith(b"\xff\xd8\xff")
        assert (info.width, info.height) == open_rgb(stored).size == (24, 16)
        assert (info.source_format, info.reencoded) == (format.lower(), True)
        assert info.sha256 == sha256(stored).hexdigest()
        assert near(stored, RED, tolerance=12)

    def test_is_as_good_as_promised(self):
        with Image.open(BytesIO(store_image(encode_image(format="PNG"), LIMIT)[0])) as image:
            assert image.layer[0][1:3] == image.layer[1][1:3] == (1, 1)  # no chroma subsampling
            with Image.open(BytesIO(encode_image(quality=95))) as reference:
                assert image.quantization == reference.quantization

    @pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF"])
    def test_orientation_goes_to_the_pixels(self, format):
        image = Image.new("RGB", (24, 16), WHITE)
        image.paste(RED, (0, 0, 12, 16))
        stored, info = store_image(save(image, format, exif=exif(6)), LIMIT)
        assert (info.width, info.height) == (16, 24)
        assert near(stored, RED, (8, 2), 12)  # a quarter to the right: the left half is now the upper
        assert near(stored, WHITE, (8, 21), 12)
        with Image.open(BytesIO(stored)) as reopened:
            assert not reopened.getexif()

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF")
    def test_damaged_exif_does_not_cost_the_image(self):
        _, info = store_image(encode_image(format="PNG", exif=b"Exif\0\0MM\0*garbage"), LIMIT)
        assert (info.width, info.height) == (24, 16)

    @pytest.mark.parametrize(
        "image",
        [
            Image.new("RGBA", (24, 16), (255, 0, 0, 0)),
            Image.new("LA", (24, 16), (0, 0)),
        ],
        ids=["RGBA", "LA"],
    )
    def test_what_is_transparent_is_white(self, image):
        assert near(store_image(save(image, "PNG"), LIMIT)[0], WHITE, tolerance=0)

    def test_half_transparent_is_half_white(self):
        data = save(Image.new("RGBA", (24, 16), (0, 0, 0, 128)), "PNG")
        assert near(store_image(data, LIMIT)[0], (127, 127, 127), tolerance=1)

    @pytest.mark.parametrize("mode", ["P", "L", "RGB", "I;16"])
    def test_a_transparent_colour_is_white(self, mode):
        image = Image.new(mode, (24, 16))
        data = save(image, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
        assert near(store_image(data, LIMIT)[0], WHITE, tolerance=0)

    def test_palette_with_alpha_bytes(self):
        image = Image.new("P", (24, 16), 1)
        image.putpalette([0, 0, 0, 255, 0, 0])
        assert near(store_image(save(image, "PNG", transparency=b"\xff\x00"), LIMIT)[0], WHITE, tolerance=0)
        assert near(store_image(save(image, "PNG"), LIMIT)[0], RED)

    @pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG2000"])
    def test_sixteen_bit_grey_keeps_its_upper_bits(self, format):
        image = Image.fromarray(np.full((16, 24), 0x8000, np.uint16))
        stored, _ = store_image(save(image, format), LIMIT)
        assert near(stored, (128, 128, 128), tolerance=1)

    def test_sixteen_bit_grey_big_endian_and_turned(self):
        data = save(Image.fromarray(np.full((16, 24), 0x4000, ">u2")), "TIFF")
        assert near(store_image(data, LIMIT)[0], (64, 64, 64), tolerance=1)
        turned = save(Image.fromarray(np.full((16, 24), 0x4000, np.uint16)), "PNG", exif=exif(6))
        stored, info = store_image(turned, LIMIT)
        assert (info.width, info.height) == (16, 24)
        assert near(stored, (64, 64, 64), tolerance=1)

    @pytest.mark.parametrize("mode", ["1", "L", "CMYK", "YCbCr", "LAB"])
    def test_other_modes(self, mode):
        red = Image.new("RGB", (24, 16), RED)
        image = red.convert("L").convert(mode) if mode == "1" else red.convert(mode)
        stored, _ = store_image(save(image, "TIFF"), LIMIT)
        if mode not in ("1", "L"):
            assert near(stored, RED, tolerance=12)

    def test_a_profile_is_kept_only_for_rgb(self):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        grey = profile[:16] + b"GRAY" + profile[20:]
        for mode, given_profile, kept in [
            ("RGB", profile, True),
            ("RGBA", profile, True),
            ("L", grey, False),
        ]:
            data = encode_image(mode, format="PNG", icc_profile=given_profile)
            with Image.open(BytesIO(store_image(data, LIMIT)[0])) as image:
                assert ("icc_profile" in image.info) == kept

    def test_metadata_stays_behind(self):
        data = encode_image("P", format="GIF", comment=b"secret")
        assert b"secret" not in store_image(data, LIMIT)[0]

    def test_the_same_bytes_every_time_and_in_threads(self):
        data = encode_image("RGBA", (64, 48), "PNG", color=(10, 200, 30, 90))
        expected = store_image(data, LIMIT)
        with ThreadPoolExecutor(8) as pool:
            assert all(result == expected for result in pool.map(lambda _: store_image(data, LIMIT), range(64)))


class TestMaxSide:
    def test_a_jpeg_within_it_keeps_its_bytes(self):
        for data in (encode_image(), encode_image(exif=exif(1))):
            stored, info = store_image(data, LIMIT, max_side=24)
            assert stored == data
            assert info.reencoded is False

    @pytest.mark.parametrize("format", FORMATS)
    @pytest.mark.parametrize(
        ("size", "expected"), [((300, 200), (120, 80)), ((200, 300), (80, 120)), ((1200, 100), (120, 10))]
    )
    def test_a_larger_picture_is_made_smaller(self, format, size, expected):
        data = encode_image(size=size, format=format, color=RED)
        stored, info = store_image(data, LIMIT, max_side=120)
        assert open_rgb(stored).size == (info.width, info.height) == expected
        assert info.reencoded is True
        assert info.source_format == format.lower()
        assert info.sha256 == sha256(stored).hexdigest()
        assert near(stored, RED, tolerance=40)
        assert Image.open(BytesIO(stored)).layer[0][1:3] == (1, 1), "no chroma subsampling"

    def test_it_is_turned_as_its_exif_data_say(self):
        data = encode_image(size=(300, 200), color=RED, exif=exif(6))
        stored, info = store_image(data, LIMIT, max_side=120)
        assert (info.width, info.height) == (80, 120)
        assert near(stored, RED, at=(40, 10), tolerance=40)
        assert near(stored, (0, 0, 0), at=(40, 110), tolerance=40)
        assert not Image.open(BytesIO(stored)).getexif()

    def test_it_is_never_made_larger(self):
        _, info = store_image(encode_image(format="PNG"), LIMIT, max_side=1000)
        assert (info.width, info.height) == (24, 16)

    def test_what_would_have_too_short_a_side_is_refused(self):
        with pytest.raises(Rejected, match="6 x 120 pixels once it is made smaller, at least 8 a side"):
            store_image(encode_image(size=(20, 400)), LIMIT, max_side=120)


class TestDecodeRgb:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_every_format_is_read_as_pillow_reads_it(self, kind):
        data = save(Image.new("RGB", (24, 16), RED), kind)
        expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
        assert np.array_equal(np.asarray(decode_rgb(data)), expected)

    def test_transparency_and_orientation_are_ignored_as_open_clip_does(self):
        data = save(Image.new("RGBA", (24, 16), (*RED, 0)), "PNG")
        assert decode_rgb(data).getpixel((2, 2)) == RED
        assert decode_rgb(encode_image(exif=exif(6))).size == Image.open(BytesIO(encode_image())).size

    def test_what_is_damaged_or_no_image_says_so(self):
        whole = save(Image.new("RGB", (24, 16), RED), "PNG")
        for data in (b"", b"no image", whole[:50], encode_image()[:200]):
            with pytest.raises(OSError, match=r"damaged|none of JPEG"):
                decode_rgb(data)
