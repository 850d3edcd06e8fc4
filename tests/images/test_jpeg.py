"""Every orientation, in every format that has one, comes out upright, and asks no reader for another turn."""

import binascii
import io
import warnings
import zlib
from pathlib import Path

import datasets
import numpy as np
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from glitbuild.images.jpeg import Jpeg, exif_orientation
from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Sample
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.stages.ingest.conftest import exif, save

from .exif_bytes import exif_segment, segment, tiff, with_segments, xmp_segment
from .turns import SHUFFLE, assert_upright, camera

LIMIT = 1_000_000
ORIENTATIONS = range(1, 9)
NOT_UPRIGHT = range(2, 9)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"subsampling": 0}),
        ("RGB", {"subsampling": 1}),
        ("RGB", {"subsampling": 2}),
        ("RGB", {"progressive": True}),
        ("RGB", {"restart_marker_blocks": 2}),
        ("L", {}),
        ("CMYK", {}),
    ],
    ids=["444", "422", "420", "progressive", "restarts", "grey", "cmyk"],
)
@pytest.mark.parametrize("order", ["<", ">"], ids=["II", "MM"])
def test_jpegs(orientation: int, mode: str, options: dict[str, object], order: str) -> None:
    plain = save(camera(orientation, mode), "JPEG", quality=95, **options)
    data = with_segments(plain, exif_segment(orientation, order=order))
    stored, info = store_image(data, LIMIT)
    assert_upright(stored, mode)
    assert (info.width, info.height, info.source_format) == (48, 32, "jpeg")
    assert info.reencoded == (orientation != 1 and mode == "CMYK")
    assert (stored == data) == (orientation == 1)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_other_formats(orientation: int, format: str) -> None:
    options = {"save_all": True, "append_images": [camera(1)]} if format == "MPO" else {"quality": 95}
    data = save(camera(orientation), format, exif=exif(orientation), **options)
    stored, info = store_image(data, LIMIT)
    assert_upright(stored)
    assert (info.width, info.height) == (48, 32)


@pytest.mark.parametrize("orientation", NOT_UPRIGHT)
def test_a_png_as_imagemagick_writes_it(orientation: int) -> None:
    """Its EXIF data lie in a text, in hexadecimal digits; and its XMP data may be packed."""
    content = b"Exif\0\0" + tiff(orientation)
    text = b"\nexif\n%8d\n" % len(content) + binascii.hexlify(content) + b"\n"
    chunk = b"zTXtRaw profile type exif\0\0" + zlib.compress(text)
    png = save(camera(orientation), "PNG")
    assert_upright(store_image(_with_chunk(png, chunk), LIMIT)[0])
    packet = zlib.compress(b'<rdf:Description tiff:Orientation="%d"/>' % orientation)
    assert_upright(store_image(_with_chunk(png, b"zTXtXML:com.adobe.xmp\0\0" + packet), LIMIT)[0])


@pytest.mark.parametrize("orientation", NOT_UPRIGHT)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_xmp_counts_where_exif_says_nothing(orientation: int, format: str) -> None:
    packet = b'<rdf:Description tiff:Orientation="%d"/>' % orientation
    if format == "JPEG":
        data = with_segments(save(camera(orientation), "JPEG", quality=95), xmp_segment(orientation))
    elif format == "PNG":
        data = _with_chunk(save(camera(orientation), "PNG"), b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + packet)
    else:
        extra = {"tiffinfo": {700: packet}} if format == "TIFF" else {"xmp": packet, "quality": 95}
        data = save(camera(orientation), format, **extra)
    assert_upright(store_image(data, LIMIT)[0])


@pytest.mark.parametrize("max_side", [24, 47])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_made_smaller(orientation: int, max_side: int) -> None:
    data = save(camera(orientation, size=(96, 64)), "JPEG", quality=95, exif=exif(orientation))
    stored, info = store_image(data, LIMIT, max_side)
    assert (info.width, info.height) == (max_side, round(max_side * 2 / 3))
    assert_upright(stored, size=(info.width, info.height), tolerance=30)


@pytest.mark.parametrize("size", [(48, 32), (49, 33), (50, 35), (8, 8), (100, 8)])
@pytest.mark.parametrize("orientation", NOT_UPRIGHT)
def test_no_row_or_column_is_lost(orientation: int, size: tuple[int, int]) -> None:
    """Sides that are no multiple of a JPEG's blocks, too."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1] // 4 + 1, size[0] // 4 + 1, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    stored_by_camera = Image.fromarray(np.ascontiguousarray(SHUFFLE[orientation](smooth)))
    stored, info = store_image(
        save(stored_by_camera, "JPEG", quality=98, subsampling=0, exif=exif(orientation)), LIMIT
    )
    found = np.asarray(open_rgb(stored)).astype(int)
    assert found.shape == smooth.shape and (info.width, info.height) == size
    assert np.abs(found - smooth).mean() < 4


class TestWhatAReaderMightFollow:
    """Metadata that say nothing a turn should be made by, and that some reader might turn by all the same."""

    PLAIN = save(camera(1), "JPEG", quality=95)

    @pytest.mark.parametrize(
        "extra",
        [
            [exif_segment(None)],
            [exif_segment(1)],
            [exif_segment(1, order="<")],
            [exif_segment(1, thumbnail=6)],
            [exif_segment(1), xmp_segment(1)],
            [exif_segment(1), exif_segment(1)],
            [segment(b"Exif\0\0")],
            [segment(b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>")],
            [segment(b"\0" * 60_000, 0xEF)] * 20,
            [segment(b"a comment", 0xFE)],
        ],
    )
    def test_a_harmless_picture_keeps_its_bytes(self, extra: list[bytes]) -> None:
        data = with_segments(self.PLAIN, *extra)
        stored, info = store_image(data, LIMIT)
        assert stored == data and not info.reencoded
        assert_upright(stored)

    @pytest.mark.parametrize(
        "extra",
        [
            [exif_segment(0)],
            [exif_segment(9)],
            [exif_segment(65535, order="<")],
            [exif_segment(1), xmp_segment(6)],
            [exif_segment(1), xmp_segment(6, "tiff:Orientation='{}'")],
            [exif_segment(1), exif_segment(6)],
            [xmp_segment(6), exif_segment(9), xmp_segment(8)],
            [exif_segment(1, times=2)],
            [exif_segment(1, kind=4)],
            [segment(b"Exif\0\0" + tiff(6)[:2] + b"??" + tiff(6)[4:])],
            [segment(b"Exif\0\0XX" + tiff(6)[2:])],
        ],
    )
    def test_otherwise_only_that_is_left_out(self, extra: list[bytes]) -> None:
        kept = segment(b"kept", 0xED)
        data = with_segments(self.PLAIN, kept, *extra)
        stored, info = store_image(data, LIMIT)
        assert not info.reencoded
        assert kept in stored and stored.endswith(self.PLAIN[20:])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_upright(stored)
        assert Jpeg(stored).as_stored() == stored

    def test_exif_comes_before_xmp(self) -> None:
        data = with_segments(save(camera(8), "JPEG", quality=95), xmp_segment(6), exif_segment(8))
        assert_upright(store_image(data, LIMIT)[0])

    def test_the_first_of_several_exif_segments_counts(self) -> None:
        data = with_segments(save(camera(8), "JPEG", quality=95), exif_segment(8), exif_segment(6))
        assert_upright(store_image(data, LIMIT)[0])

    def test_a_number_of_four_bytes_counts(self) -> None:
        data = with_segments(save(camera(6), "JPEG", quality=95), exif_segment(6, kind=4))
        assert_upright(store_image(data, LIMIT)[0])

    def test_exif_that_is_cut_off_behind_the_orientation_counts(self) -> None:
        cut = segment(b"Exif\0\0" + tiff(6)[:-4])
        assert_upright(store_image(with_segments(save(camera(6), "JPEG", quality=95), cut), LIMIT)[0])

    def test_fill_bytes_between_segments(self) -> None:
        data = with_segments(save(camera(6), "JPEG", quality=95), b"\xff\xff\xff", exif_segment(6), b"\xff\xff")
        assert_upright(store_image(data, LIMIT)[0])

    def test_a_profile_in_several_segments_is_kept(self) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        profile += bytes(range(256)) * 800
        data = save(camera(6), "JPEG", quality=95, icc_profile=profile, exif=exif(6))
        assert data.count(b"ICC_PROFILE\0") == 4
        stored, _ = store_image(data, LIMIT)
        assert_upright(stored)
        with Image.open(io.BytesIO(stored)) as image:
            assert image.info["icc_profile"] == profile


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["<", ">"]), st.integers(0, 10), st.binary(max_size=3), st.integers(0, 80))
def test_it_is_read_as_pil_reads_it(order: str, orientation: int, noise: bytes, at: int) -> None:
    data = bytearray(tiff(orientation, order))
    data[at : at + len(noise)] = noise
    ours = exif_orientation(bytes(data)).value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            record = Image.Exif()
            record.load(bytes(data))
            theirs = record.get(0x0112)
        except Exception:
            theirs = None
    if ours in range(2, 9) and exif_orientation(bytes(data)).is_plain:
        pytest.fail("a turn is not plain")
    if theirs in range(2, 9) and isinstance(theirs, int):
        assert ours == theirs or not exif_orientation(bytes(data)).is_plain


@pytest.mark.slow
def test_datasets_webdataset_and_pil_see_the_same(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    for orientation in ORIENTATIONS:
        data = save(camera(orientation), "JPEG", quality=95, exif=exif(orientation))
        (source / f"{orientation}.jpg").write_bytes(data + bytes([orientation]))  # no two are the same
        (source / f"{orientation}.txt").write_text(f"Four colours, stored in way {orientation}.")
    run_ingest(IngestOptions((str(source),), str(tmp_path / "out"), duplicates="keep"))
    tar = str(tmp_path / "out" / "shards" / "00000.tar")
    loaded = datasets.load_dataset("webdataset", data_files=tar, split="train", cache_dir=str(tmp_path / "cache"))
    decoded = webdataset.WebDataset(tar, shardshuffle=False).decode("pil")
    raw = webdataset.WebDataset(tar, shardshuffle=False)
    count = 0
    for row, sample, member in zip(loaded, decoded, raw, strict=True):
        record = Sample.from_json(member["json"])
        assert (record.image.width, record.image.height) == row["jpg"].size == sample["jpg"].size == (48, 32)
        assert np.array_equal(np.asarray(row["jpg"].convert("RGB")), np.asarray(sample["jpg"].convert("RGB")))
        assert_upright(member["jpg"])
        count += 1
    assert count == 8


def _with_chunk(png: bytes, chunk: bytes) -> bytes:
    """The PNG with a chunk (its kind and content) behind its header."""
    whole = len(chunk[4:]).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return png[:33] + whole + png[33:]
