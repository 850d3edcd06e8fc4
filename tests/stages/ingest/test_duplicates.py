"""Which rows repeat another: the sieve against a plain reading of its rules, and what is kept of rows."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.records import ImageInfo, Rejected, Sample, Skip, SkipReason, Source
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from glitbuild.stages.ingest.duplicates import Facts, Mode, Sieve, describe_facts, find_changes, read_facts
from glitbuild.stages.ingest.near import NearHashes
from glitbuild.stages.ingest.source import Row
from tests.factories import sample_with_jpeg


def facts(
    picture: int, name: str = "", file: str = "a.jpg", caption: str = "A cat.", source: int = 0, hash: int = 0
) -> Facts:
    """Return those of a row whose picture is told by a number; 0 for a row that was skipped."""
    info = ImageInfo(8, 8, f"{picture:064x}"[::-1], "jpeg", False)
    row = Row(Source("s", name), caption, bytes, named=bool(name), picture=file)
    sample = Sample("000000000", caption, info, row.source) if picture else None
    return Facts.of(row, source, sample, hash)


def repeated(mode: Mode, *rows: Facts) -> list[str]:
    """Return for each row what it repeats, or an empty string."""
    found = []
    with Sieve(mode, 4) as sieve:
        for key, row in enumerate(rows):
            try:
                sieve.pass_on(key, row)
                found.append("")
            except Rejected as rejected:
                found.append(rejected.detail)
    return found


FIRST = facts(1)
SAME = "repeats 000000000: the same bytes"
LIKE = "repeats 000000000: 2 of 64 bits of their perceptual hashes differ"
ID = "repeats 000000000: the same id in this input"


@pytest.mark.parametrize(
    ("second", "exact", "near"),
    [
        (FIRST, SAME, SAME),
        (facts(1, caption="Another."), "", ""),
        (facts(1, file="./a.jpg", caption="Another."), "", ""),
        (facts(1, file="b.jpg", caption="Another."), SAME, SAME),
        (facts(1, source=1, caption="Another."), SAME, SAME),
        (facts(2, hash=3), "", LIKE),
        (facts(2, hash=3, caption="Another."), "", LIKE),
        (facts(2, hash=31), "", ""),
        (facts(0), "", ""),
    ],
)
def test_what_repeats_what(second: Facts, exact: str, near: str) -> None:
    assert repeated("keep", FIRST, second) == ["", ""]
    assert repeated("exact", FIRST, second) == ["", exact]
    assert repeated("near", FIRST, second) == ["", near]


@pytest.mark.parametrize("mode", ["keep", "exact", "near"])
def test_an_id_is_the_first_rows_whatever_became_of_that(mode: Mode) -> None:
    assert repeated(mode, facts(1, "x"), facts(2, "x"), facts(0, "x"), facts(3, "y", hash=0xFFFF)) == [
        "",
        ID,
        "",
        "",
    ]
    assert repeated(mode, facts(0, "x"), facts(2, "x", hash=99), facts(2, "x", source=1, hash=99)) == ["", ID, ""]


def test_the_key_is_that_of_the_row_with_the_caption() -> None:
    five = [facts(1, caption=f"Caption {number}.") for number in range(5)]
    assert repeated("near", *five, five[3], FIRST) == [*[""] * 5, "repeats 000000003: the same bytes", ""]


def test_bytes_without_a_name_are_one_picture() -> None:
    nameless = facts(1, file="")
    assert repeated("exact", nameless, facts(1, file="", caption="Another."), nameless) == ["", "", SAME]


def test_the_captions_of_a_picture_that_was_left_out_are_left_out() -> None:
    copies = [facts(2, file="b.jpg"), facts(2, file="b.jpg", caption="Another.")]
    found = repeated("near", FIRST, *copies)
    assert found[1] == found[2] == "repeats 000000000: 0 of 64 bits of their perceptual hashes differ"


def test_what_was_left_out_does_not_count() -> None:
    """Else a chain of pictures, each like the one before, would go with its first."""
    chain = [facts(number, hash=(1 << 3 * number) - 1) for number in range(1, 5)]
    assert [bool(detail) for detail in repeated("near", *chain)] == [False, True, False, True]


def test_an_excluded_picture_has_its_own_reason() -> None:
    with NearHashes(4) as hashes:
        hashes.add(3, 12)
        with Sieve("keep", 4, [("urban1k", hashes)]) as sieve:
            for row in range(2):
                with pytest.raises(Rejected, match="repeats 000000012 of urban1k: 2 of 64") as caught:
                    sieve.pass_on(row, FIRST)
                assert caught.value.reason == SkipReason.EXCLUDED_IMAGE
            sieve.pass_on(2, facts(2, hash=0xFFFF))


rows = st.lists(
    st.builds(
        facts,
        st.integers(0, 3),
        st.sampled_from(["", "", "x", "y"]),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from(["1", "2"]),
        st.integers(0, 1),
        st.sampled_from([0, 7, 2**63, 2**64 - 1]),
    ),
    max_size=12,
)


def write(store: Store, found: Sequence[Facts], start: int, verdicts: dict[int, Rejected], shard: str) -> Sidecar:
    """Write a shard of these rows, those in ``verdicts`` skipped."""
    outcomes = []
    for number, each in enumerate(found, start):
        sample, jpeg = sample_with_jpeg(number)
        if not each.has_picture:
            outcomes.append(Skip(sample.key, sample.source, SkipReason.IMAGE_MISSING, ""))
        elif repeats := verdicts.get(number):
            outcomes.append(Skip(sample.key, sample.source, repeats.reason, repeats.detail))
        else:
            outcomes.append((sample, jpeg))
    described = {"rows": [start, start + len(found)]} | describe_facts(found)
    return write_shard(store, shard, outcomes, {"stage": "ingest"}, lambda: described)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(rows, st.sampled_from(["keep", "exact", "near"]), st.data())
def test_after_the_changes_nothing_is_left_to_change(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[Facts], mode: Mode, data: st.DataObject
) -> None:
    """From any state: shards as they were made, or with rows skipped for what is no longer true."""
    store = Store(str(tmp_path_factory.mktemp("shards")))
    stale = {
        row: Rejected(SkipReason.DUPLICATE_IMAGE, f"repeats {row:09d}: the same bytes")
        for row in data.draw(st.sets(st.integers(0, 11)))
    }
    parts = [(f"{index:05d}", at, drawn[at : at + 4]) for index, at in enumerate(range(0, len(drawn), 4))]
    sidecars = [write(store, found, at, stale, shard) for shard, at, found in parts]
    for sidecar, (_, _, found) in zip(sidecars, parts, strict=True):
        assert read_facts(store, sidecar) == found
    with Sieve(mode, 4) as sieve:
        changes = {sidecar.shard: change for sidecar, change in find_changes(store, sidecars, sieve)}
    expected = repeated(mode, *drawn)
    for shard, at, found in parts:
        if change := changes.get(shard):
            write(store, found, at, dict(change.repeats), shard)
            assert all(row in stale and not expected[row] for row in change.again)
    after = [Sidecar.read(store, shard) for shard, _, _ in parts]
    with Sieve(mode, 4) as sieve:
        assert list(find_changes(store, [sidecar for sidecar in after if sidecar], sieve)) == []
    kept = [each.has_picture and not detail for each, detail in zip(drawn, expected, strict=True)]
    assert sum(sidecar.samples for sidecar in after if sidecar) == sum(kept)


def test_nothing_is_kept_where_there_is_nothing_to_tell() -> None:
    assert describe_facts([facts(0), facts(0)]) == {}
    assert len(describe_facts([facts(0, "x")])["facts"]) == 76


def test_facts_do_not_collide_by_where_their_texts_end(tmp_path: Path) -> None:
    assert facts(1, file="a", source=11) != facts(1, file="1a", source=1)
