"""JPEGs turned without loss: the same coefficients in their new places, or else a picture that was encoded anew."""

import io
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from glitbuild.images import jpeg_turn
from glitbuild.images.jpeg import Jpeg
from glitbuild.images.jpeg_turn import TOLERANCE, TURNS, Turn, can_be_encoded, turn_array
from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Rejected, SkipReason
from tests.stages.ingest.conftest import save

from .exif_bytes import exif_segment, segment, with_segments, xmp_segment
from .turns import SHUFFLE

jpegio = pytest.importorskip("jpegio")

LIMIT = 1_000_000
NOT_UPRIGHT = range(2, 9)
INVERSE = {number: number for number in NOT_UPRIGHT} | {6: 8, 8: 6}
SAMPLINGS = {"444": ("RGB", 0, 8, 8), "422": ("RGB", 1, 16, 8), "420": ("RGB", 2, 16, 16), "grey": ("L", -1, 8, 8)}
FREQUENCY, PLACE = np.mgrid[:8, :8]
DCT = np.cos(np.pi * FREQUENCY * (2 * PLACE + 1) / 16) * np.where(FREQUENCY, 0.5, np.sqrt(0.125))


def photo(size: tuple[int, int] = (96, 64), seed: int = 0) -> Image.Image:
    """Smooth colours under noise, different everywhere."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((smooth + rng.normal(0, 8, (size[1], size[0], 3))).clip(0, 255).astype(np.uint8))


def encoded(sampling: str = "420", *, size: tuple[int, int] = (96, 64), seed: int = 0, **options: object) -> bytes:
    mode, subsampling, _, _ = SAMPLINGS[sampling]
    return save(photo(size, seed).convert(mode), "JPEG", **{"quality": 90, "subsampling": subsampling} | options)


def asking(orientation: int, data: bytes, *more: bytes) -> bytes:
    """The JPEG as of a camera that notes this orientation."""
    return with_segments(data, exif_segment(orientation), *more)


class Read:
    """The coefficients of a JPEG's components, their quantization tables, and their sampling factors."""

    def __init__(self, data: bytes, folder: Path) -> None:
        path = folder / "read.jpg"
        path.write_bytes(data)
        read = jpegio.read(str(path))
        self.planes = [plane.copy() for plane in read.coef_arrays]
        self.tables = [read.quant_tables[one.quant_tbl_no].copy() for one in read.comp_info]
        self.sampling = [(one.h_samp_factor, one.v_samp_factor) for one in read.comp_info]
        self.progressive = bool(read.progressive_mode)


def by_pixels(plane: NDArray[np.int32], orientation: int) -> NDArray[np.int32]:
    """The coefficients of a turned plane: to pixels by the definition of the DCT, turned there, and back."""
    pixels = _blockwise(plane.astype(float), DCT.T, DCT)
    turned = SHUFFLE[INVERSE[orientation]](pixels)  # type: ignore[arg-type]
    return np.rint(_blockwise(turned, DCT, DCT.T)).astype(np.int32)  # type: ignore[arg-type]


def _blockwise(
    plane: NDArray[np.float64], left: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty_like(plane)
    for y in range(0, plane.shape[0], 8):
        for x in range(0, plane.shape[1], 8):
            out[y : y + 8, x : x + 8] = left @ plane[y : y + 8, x : x + 8] @ right
    return out


def difference(stored: bytes, original: bytes, orientation: int) -> int:
    """The largest difference between a stored picture's pixels and the original's, turned."""
    expected = SHUFFLE[INVERSE[orientation]](np.asarray(open_rgb(original))).astype(int)
    found = np.asarray(open_rgb(stored)).astype(int)
    assert found.shape == expected.shape
    return int(np.abs(found - expected).max())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_the_coefficients_are_the_original_s_turned(
    orientation: int, sampling: str, progressive: bool, tmp_path: Path
) -> None:
    data = asking(orientation, encoded(sampling, progressive=progressive))
    stored, info = store_image(data, LIMIT)
    assert not info.reencoded and info.source_format == "jpeg"
    assert (info.width, info.height) == open_rgb(stored).size == ((96, 64) if orientation < 5 else (64, 96))
    if orientation == 1:
        assert stored == data
        return
    before, after = Read(data, tmp_path), Read(stored, tmp_path)
    swapped = orientation > 4
    for old, new in zip(before.planes, after.planes, strict=True):
        assert np.array_equal(new, by_pixels(old, orientation))
    for old, new in zip(before.tables, after.tables, strict=True):
        assert np.array_equal(new, old.T if swapped else old)
    assert after.sampling == [one[::-1] if swapped else one for one in before.sampling]
    assert after.progressive == progressive
    assert difference(stored, data, orientation) <= TOLERANCE
    with Image.open(io.BytesIO(stored)) as image:
        assert not image.getexif() and image.mode == SAMPLINGS[sampling][0]


@pytest.mark.parametrize("orientation", NOT_UPRIGHT)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_turn_and_its_inverse_change_nothing(orientation: int, sampling: str, tmp_path: Path) -> None:
    data = asking(orientation, encoded(sampling))
    there, _ = store_image(data, LIMIT)
    back, info = store_image(asking(INVERSE[orientation], there), LIMIT)
    assert not info.reencoded
    before, after = Read(data, tmp_path), Read(back, tmp_path)
    assert before.sampling == after.sampling
    for old, new in zip(before.planes + before.tables, after.planes + after.tables, strict=True):
        assert np.array_equal(old, new)


@pytest.mark.parametrize("orientation", NOT_UPRIGHT)
def test_arrays_are_turned_as_pixels_are(orientation: int) -> None:
    plane = np.random.default_rng(orientation).integers(-1024, 1024, (24, 40), np.int32)
    assert np.array_equal(turn_array(plane, TURNS[orientation]), by_pixels(plane, orientation))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 64), (97, 64), (96, 65), (88, 64), (96, 56), (95, 63), (16, 8), (8, 16)])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("orientation", NOT_UPRIGHT)
def test_sides_that_are_mirrored_must_be_whole_blocks(
    orientation: int, sampling: str, size: tuple[int, int]
) -> None:
    _, _, across, down = SAMPLINGS[sampling]
    data = asking(orientation, encoded(sampling, size=size))
    stored, info = store_image(data, LIMIT)
    x, y = size[0] % across == 0, size[1] % down == 0
    fits = {2: x, 3: x and y, 4: y, 5: True, 6: y, 7: x and y, 8: x}
    assert info.reencoded == (not fits[orientation])
    if not info.reencoded:
        assert difference(stored, data, orientation) <= TOLERANCE
    elif sampling == "444":
        assert difference(stored, data, orientation) < 60
    assert (info.width, info.height) == (size if orientation < 5 else size[::-1])


@pytest.mark.parametrize(
    "options", [{"optimize": True}, {"restart_marker_blocks": 3}, {"quality": 100}, {"quality": 1}]
)
def test_however_it_is_encoded(options: dict[str, int], tmp_path: Path) -> None:
    data = asking(6, encoded(**options))
    stored, info = store_image(data, LIMIT)
    assert not info.reencoded
    for old, new in zip(Read(data, tmp_path).planes, Read(stored, tmp_path).planes, strict=True):
        assert np.array_equal(new, by_pixels(old, 6))


@pytest.mark.parametrize("shade", [0, 255])
def test_black_and_white_at_the_ends_of_the_range(shade: int) -> None:
    data = asking(7, save(Image.new("RGB", (32, 16), (shade,) * 3), "JPEG", quality=100))
    stored, info = store_image(data, LIMIT)
    assert not info.reencoded
    assert np.asarray(open_rgb(stored)).min() == np.asarray(open_rgb(stored)).max() == shade


def test_colours_that_are_no_ycc(tmp_path: Path) -> None:
    data = asking(6, save(photo(), "JPEG", quality=90, keep_rgb=True))
    stored, info = store_image(data, LIMIT)
    assert not info.reencoded
    assert difference(stored, data, 6) <= TOLERANCE


def test_four_components_are_encoded_anew() -> None:
    _, info = store_image(asking(6, save(photo().convert("CMYK"), "JPEG")), LIMIT)
    assert info.reencoded


def test_made_smaller_is_encoded_anew() -> None:
    _, info = store_image(asking(6, encoded()), LIMIT, max_side=64)
    assert info.reencoded and (info.width, info.height) == (43, 64)


class TestMetadata:
    def test_a_profile_comments_and_credits_stay(self) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(range(256)) * 800
        credit = segment(b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0b\x1c\x02\x74\0\x06Someon\0", 0xED)
        data = asking(6, encoded(icc_profile=profile, comment=b"a comment"), credit)
        stored, info = store_image(data, LIMIT)
        assert not info.reencoded
        with Image.open(io.BytesIO(stored)) as image:
            assert image.info["icc_profile"] == profile
            assert image.info["comment"] == b"a comment"
        assert credit in stored
        assert stored.count(b"JFIF\0") == 1

    def test_what_speaks_of_the_picture_before_the_turn_goes(self) -> None:
        index = segment(b"MPF\0" + b"II*\0\x08\0\0\0", 0xE2)
        data = asking(6, encoded(), xmp_segment(6), index, segment(b"\0" * 100, 0xEF)) + b"behind the end"
        stored, info = store_image(data, LIMIT)
        assert not info.reencoded
        for gone in (b"Exif\0\0", b"xap/1.0", b"MPF\0", b"\xff\xef", b"behind the end"):
            assert gone not in stored
        assert Jpeg(stored).as_stored() == stored

    def test_an_orientation_in_xmp_alone(self) -> None:
        stored, info = store_image(with_segments(encoded(), xmp_segment(8)), LIMIT)
        assert not info.reencoded and (info.width, info.height) == (64, 96)
        assert b"Orientation" not in stored

    def test_segments_between_scans_do_not_come_to_the_front(self, tmp_path: Path) -> None:
        data = asking(6, encoded(progressive=True))
        second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
        data = data[:second] + exif_segment(3) + segment(b"a comment", 0xFE) + data[second:]
        stored, info = store_image(data, LIMIT)
        assert not info.reencoded
        assert b"Exif" not in stored and b"a comment" not in stored
        assert difference(stored, data, 6) <= TOLERANCE

    def test_thousands_of_segments(self) -> None:
        many = [segment(b"%04d" % number, 0xE3 + number % 10) for number in range(2000)]
        many += [segment(b"comment", 0xFE)] * 2000
        stored, info = store_image(asking(6, encoded(), *many), LIMIT)
        assert not info.reencoded
        assert stored.count(b"\xff\xfe\0\x09comment") == 2000


class TestWhereItCannotBe:
    """Nothing is lost there: the picture is encoded anew, and the record says so."""

    def test_more_coefficients_than_fit_into_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jpeg_turn, "MAX_COEFFICIENTS", 96 * 64 * 3 // 2 - 1)
        assert store_image(asking(6, encoded()), LIMIT)[1].reencoded
        monkeypatch.setattr(jpeg_turn, "MAX_COEFFICIENTS", 96 * 64 * 3 // 2)
        assert not store_image(asking(6, encoded()), LIMIT)[1].reencoded

    def test_no_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "jpegio", None)
        stored, info = store_image(asking(6, encoded()), LIMIT)
        assert info.reencoded and open_rgb(stored).size == (64, 96)

    def test_a_wrong_pixel_is_noticed_wherever_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        size = (16, 1600)
        data = asking(3, encoded("444", size=size))
        for place in (0, 800, 1592):

            def wrong(array: NDArray[np.int16], turn: Turn, place: int = place) -> NDArray[np.int16]:
                turned = turn_array(array, turn).copy()
                turned[place, 8] += 20
                return turned

            with monkeypatch.context() as patch:
                patch.setattr(jpeg_turn, "turn_array", wrong)
                assert store_image(data, LIMIT)[1].reencoded
        assert not store_image(data, LIMIT)[1].reencoded

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda array, turn: array.T,
            lambda array, turn: turn_array(array, TURNS[8]),
            lambda array, turn: np.abs(turn_array(array, turn)),
        ],
        ids=["mirror image", "upside down", "signs"],
    )
    def test_a_wrong_result_is_noticed(
        self, wrong: Callable[..., NDArray[np.int32]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jpeg_turn, "turn_array", wrong)
        stored, info = store_image(asking(6, encoded("444")), LIMIT)
        assert info.reencoded
        assert difference(stored, asking(6, encoded("444")), 6) < 60

    def test_coefficients_that_no_encoder_writes(self, tmp_path: Path) -> None:
        """Four blocks, each brighter than the one before by the most that a difference can be."""
        one = bytes([1, *[0] * 15])
        frame = segment(b"\x08\0\x10\0\x10\x01\x01\x11\0", 0xC0) + segment(b"\0" + b"\1" * 64, 0xDB)
        tables = segment(b"\0" + one + b"\x0b", 0xC4) + segment(b"\x10" + one + b"\0", 0xC4)
        bits = "0111111111110" * 4 + "1" * 4
        scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
        data = b"\xff\xd8" + frame + tables + segment(b"\x01\x01\0\0\x3f\0", 0xDA) + scan + b"\xff\xd9"
        assert Read(data, tmp_path).planes[0][::8, ::8].tolist() == [[2047, 4094], [6141, 8188]]
        files = Path("/proc/self/fd")
        before = len(list(files.iterdir())) if files.exists() else 0
        for _ in range(5):
            stored, info = store_image(asking(3, data), LIMIT)
            assert info.reencoded and open_rgb(stored).size == (16, 16)
        assert (len(list(files.iterdir())) if files.exists() else 0) < before + 5, "jpegio leaks one a time"

    @pytest.mark.parametrize(
        ("dc", "ac", "expected"),
        [
            *((1023, 1023, True), (-1024, -1023, True), (1024, 0, False), (-1025, 0, False)),
            *((0, 1024, False), (0, -1024, False), (-1024, -1024, False)),
        ],
    )
    def test_what_an_encoder_writes(self, dc: int, ac: int, expected: bool) -> None:
        plane = np.zeros((16, 8), np.int32)
        plane[8, 0], plane[10, 5] = dc, ac
        assert can_be_encoded(plane) is expected

    def test_more_scans_than_encoders_write(self) -> None:
        data = asking(6, encoded("grey", progressive=True))
        first = data.index(b"\xff\xda")
        scan = data[first : data.index(b"\xff\xc4", first)]
        assert not store_image(data[:first] + scan * 10 + data[first:], LIMIT)[1].reencoded
        assert store_image(data[:first] + scan * 20 + data[first:], LIMIT)[1].reencoded


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_damaged_data_are_refused_or_show_what_the_original_shows(
    progressive: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(1)
    whole = asking(6, encoded(progressive=progressive))
    start = whole.index(b"\xff\xda") + 20
    kinds = set()
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(start, len(data), rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        try:
            stored, info = store_image(bytes(data), LIMIT)
        except Rejected as error:
            assert error.reason == SkipReason.IMAGE_CORRUPT
            kinds.add("refused")
            continue
        kinds.add(f"reencoded {info.reencoded}")
        assert open_rgb(stored).size == (64, 96)
        if not info.reencoded:
            assert difference(stored, bytes(data), 6) <= TOLERANCE
    assert "reencoded False" in kinds
    capfd.readouterr()


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_picture_that_is_cut_off_is_refused(cut: float) -> None:
    data = asking(6, encoded())
    with pytest.raises(Rejected) as raised:
        store_image(data[: int(len(data) * cut)], LIMIT)
    assert raised.value.reason == SkipReason.IMAGE_CORRUPT


def test_the_same_bytes_every_time_and_in_threads() -> None:
    pictures = [
        asking(2 + seed % 7, encoded(sampling, seed=seed, progressive=bool(seed % 2)))
        for seed, sampling in enumerate([*SAMPLINGS] * 4)
    ]
    expected = [store_image(data, LIMIT) for data in pictures]
    assert not any(info.reencoded for _, info in expected)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda data: store_image(data, LIMIT), pictures * 4)) == expected * 4


def test_one_picture_at_a_time_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    turn, inside, most = jpeg_turn._turn, [], []

    def watched(*arguments: Any) -> bytes | None:
        inside.append(1)
        time.sleep(0.01)
        most.append(len(inside))
        inside.pop()
        return turn(*arguments)

    monkeypatch.setattr(jpeg_turn, "_turn", watched)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store_image(asking(6, encoded()), LIMIT), range(12)))
    assert most == [1] * 12


def test_it_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not store_image(asking(6, encoded()), LIMIT)[1].reencoded
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert store_image(asking(6, encoded()), LIMIT)[1].reencoded


def test_the_library_is_loaded_only_for_a_turn() -> None:
    code = "import sys, glitbuild.images.stored; print({'jpegio', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
