import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.ingest.duplicates import MODES, Mode, Picture, Sieve
from glitbuild.ingest.source import Rejected
from glitbuild.records import SkipReason

FIRST = Picture(0, "a.jpg", "A cat.", b"a" * 16, 0)


def repeated(mode: Mode, *pictures: Picture) -> list[str]:
    """Return for each picture what it repeats, or an empty string."""
    found = []
    with Sieve(mode, 4) as sieve:
        for key, picture in enumerate(pictures):
            try:
                sieve.check(picture, key)
            except Rejected as rejected:
                assert rejected.reason == SkipReason.DUPLICATE_IMAGE
                found.append(rejected.detail)
            else:
                sieve.add(picture, key)
                found.append("")
    return found


SAME = "repeats 000000000: the same bytes"
LIKE = "repeats 000000000: 2 of 64 bits of their perceptual hashes differ"


@pytest.mark.parametrize(
    ("second", "exact", "near"),
    [
        (FIRST, SAME, SAME),
        (replace(FIRST, caption="Another."), "", ""),
        (replace(FIRST, name="b.jpg", caption="Another."), SAME, SAME),
        (replace(FIRST, input=1, caption="Another."), SAME, SAME),
        (replace(FIRST, digest=b"b" * 16, hash=3), "", LIKE),
        (replace(FIRST, digest=b"b" * 16, hash=3, caption="Another."), "", LIKE),
        (replace(FIRST, digest=b"b" * 16, hash=31), "", ""),
    ],
)
def test_what_repeats_what(second: Picture, exact: str, near: str) -> None:
    assert repeated("keep", FIRST, second) == ["", ""]
    assert repeated("exact", FIRST, second) == ["", exact]
    assert repeated("near", FIRST, second) == ["", near]


def test_the_key_is_that_of_the_row_with_the_caption() -> None:
    five = [replace(FIRST, caption=f"Caption {number}.") for number in range(5)]
    assert repeated("near", *five, five[3], FIRST) == [*[""] * 5, "repeats 000000003: the same bytes", ""]


def test_bytes_without_a_name_are_one_picture() -> None:
    nameless = replace(FIRST, name="")
    assert repeated("exact", nameless, replace(nameless, caption="Another."), nameless) == ["", "", SAME]


def test_the_captions_of_a_picture_that_was_left_out_are_left_out() -> None:
    copy = replace(FIRST, digest=b"b" * 16, name="b.jpg")
    found = repeated("near", FIRST, copy, replace(copy, caption="Another."))
    assert found[1] == found[2] == "repeats 000000000: 0 of 64 bits of their perceptual hashes differ"


def test_what_was_left_out_does_not_count() -> None:
    """Else a chain of pictures, each like the one before, would go with its first."""
    chain = [replace(FIRST, digest=bytes([number]) * 16, hash=(1 << 3 * number) - 1) for number in range(1, 5)]
    found = repeated("near", *chain)
    assert [bool(detail) for detail in found] == [False, True, False, True]


def test_an_excluded_picture_has_its_own_reason_and_stays_excluded() -> None:
    with Sieve("keep", 4) as sieve:
        assert not sieve.needs_hash and not sieve.is_needed
        sieve.exclude("urban1k").add(3, 12)
        assert sieve.needs_hash and sieve.is_needed
        for _ in range(2):
            with pytest.raises(Rejected, match="repeats 000000012 of urban1k: 2 of 64") as caught:
                sieve.check(FIRST, 0)
            assert caught.value.reason == SkipReason.EXCLUDED_IMAGE


pictures = st.builds(
    Picture,
    st.integers(0, 1),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "x", "y"]),
    st.binary(min_size=16, max_size=16).filter(any),
    st.integers(0, 2**64 - 1),
)


@settings(deadline=None)
@given(st.sampled_from(MODES), st.lists(st.none() | pictures))
def test_what_a_sidecar_keeps_is_enough(mode: Mode, rows: Sequence[Picture | None]) -> None:
    with Sieve(mode) as sieve:
        size = sieve.picture_bytes
        for row in rows:
            data = sieve.to_bytes(row)
            assert len(data) == size
            if row is None or mode == "keep":
                assert Picture.from_bytes(0, "", "", data) is None
            else:
                read = Picture.from_bytes(row.input, row.name, row.caption, data)
                assert read == (row if mode == "near" else replace(row, hash=0))


@settings(deadline=None)
@given(
    st.sampled_from(["exact", "near"]), st.lists(st.tuples(pictures, st.integers(0, 5)), max_size=12), st.randoms()
)
def test_the_order_in_which_samples_become_known_does_not_matter(
    mode: Mode, drawn: Sequence[tuple[Picture, int]], order: random.Random
) -> None:
    """A shard in the middle that is made again is made as it was."""
    rows = [replace(row, digest=bytes([look + 1]) * 16, hash=look * 31) for row, look in drawn]
    expected = repeated(mode, *rows)
    known = [key for key, detail in enumerate(expected) if not detail]
    order.shuffle(known)
    with Sieve(mode, 4) as sieve:
        for key in known:
            sieve.add(rows[key], key)
        for key, row in enumerate(rows):
            try:
                sieve.check(row, key)
            except Rejected as rejected:
                assert rejected.detail == expected[key]
            else:
                assert not expected[key]
