import json
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.records import Given, Region, Sample, Skip, SkipReason, Source, Value, to_json
from glitbuild.shards.layout import misfit, schema
from tests.factories import matched_samples, sample_with_jpeg, samples, texts


@given(samples())
def test_a_sample_survives_the_round_trip_and_fits_its_schema(sample: Sample) -> None:
    data = sample.to_json()
    assert misfit("sample", json.loads(data)) == ""
    assert Sample.from_json(data) == sample


@pytest.mark.slow
@given(matched_samples())
def test_a_matched_sample_survives_the_round_trip_and_fits_its_schema(sample: Sample) -> None:
    data = sample.to_json()
    assert misfit("sample", json.loads(data)) == ""
    assert Sample.from_json(data) == sample


values = (
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)


@pytest.mark.slow
@given(matched_samples(), st.dictionaries(texts, values, max_size=4), st.lists(st.tuples(texts, texts), max_size=3))
def test_columns_and_boxes_survive_the_round_trip(
    sample: Sample, extra: dict[str, Value], said: list[tuple[str, str]]
) -> None:
    assert sample.matched
    boxes = tuple(Given((1.0, 2.0, 3.5, 8.0), label, sentence) for label, sentence in said)
    given_regions = [Region(each.box, "given", each.label, 1.0, each.sentence) for each in boxes]
    regions = (*(replace(region, sentence="") for region in sample.matched.regions), *given_regions)
    source, matched = replace(sample.source, extra=extra), replace(sample.matched, regions=regions)
    more = replace(sample, source=source, matched=matched, boxes=boxes, boxes_left_out=2)
    record = json.loads(more.to_json())
    assert misfit("sample", record) == ""
    found = Sample.from_json(more.to_json())
    assert found == more
    assert list(map(type, found.source.extra.values())) == list(map(type, extra.values()))
    assert isinstance(record["boxes"], str)
    assert ("extra" in record["source"]) == bool(extra)
    hash(more.source)


@pytest.mark.parametrize(
    "boxes",
    [
        "5",
        "[5]",
        "[{}]",
        '[{"box": [1, 2, 3], "label": "", "sentence": ""}]',
        '[{"box": [1, 2, 3, 4], "label": 5}]',
        "[",
    ],
)
def test_boxes_that_are_none_do_not_fit(boxes: str) -> None:
    record = json.loads(sample_with_jpeg(0)[0].to_json()) | {"boxes": boxes, "boxes_left_out": 0}
    with pytest.raises((TypeError, ValueError)):
        Sample.from_json(json.dumps(record).encode())


@pytest.mark.slow
@given(matched_samples())
def test_numbers_of_a_record_keep_their_type(sample: Sample) -> None:
    # `datasets` infers Arrow types from the first samples: a coordinate that is 3 in one and 3.5 in another fails.
    for region in json.loads(sample.to_json())["regions"]:
        assert all(type(value) is float for value in (*region["box"], region["score"]))


def test_the_record_has_no_nulls_and_every_key_before_and_after_matching() -> None:
    properties = set(schema("sample")["properties"])
    assert set(schema("sample")["required"]) == properties - {
        "boxes",
        "boxes_left_out",
        "captioned",
        "sentences",
        "regions",
        "pairs",
        "best_pair",
    }


@given(st.sampled_from(list(SkipReason)), st.text(string.printable))
def test_a_skipped_row_survives_the_round_trip(reason: SkipReason, detail: str) -> None:
    skip = Skip("000000007", Source("d", "a/b.c"), reason, detail)
    assert misfit("skipped", json.loads(skip.to_json())) == ""
    assert Skip.from_json(skip.to_json()) == skip
    assert b"\n" not in skip.to_json()
    assert replace(skip, source=replace(skip.source, extra={"a": 1})).to_json() == skip.to_json()


def test_the_schema_lists_exactly_the_reasons_there_are() -> None:
    assert set(schema("skipped")["properties"]["reason"]["enum"]) == set(SkipReason)


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"similarity": float("nan")})


def test_a_record_of_an_older_version_is_read() -> None:
    sample, _ = sample_with_jpeg(0)
    record = json.loads(sample.to_json())
    del record["source"]["split"], record["source"]["origin"]
    assert Sample.from_json(json.dumps(record).encode()) == sample
