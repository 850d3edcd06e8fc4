import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.records import Rejected
from glitbuild.stages.ingest.formats import jsonl
from glitbuild.stages.ingest.formats.jsonl import read_array

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(values, max_size=6), st.integers(1, 9), st.sampled_from([None, 0, 2]), st.booleans())
def test_it_reads_what_json_reads_whatever_the_chunks(
    tmp_path_factory: pytest.TempPathFactory, elements: list[Any], chunk: int, indent: int | None, inside: bool
) -> None:
    path = tmp_path_factory.mktemp("array") / "list.json"
    content = {"info": {"images": [1]}, "count": 12, "images": elements, "x": 1} if inside else elements
    path.write_text(json.dumps(content, indent=indent))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "CHUNK", chunk)
        assert list(read_array(path, "images" if inside else None)) == elements


@pytest.mark.parametrize(
    ("text", "whole", "says"),
    [
        ('[{"a": 1}, {"a"', 1, "from character 11 on"),
        ('[{"a": 1} {"a": 2}]', 1, "'{' where there should be ,"),
        ("[1, 2", 1, "ends too early"),
        ('{"a": 1}', 0, "'{' where"),
        ("", 0, "ends too early"),
        ("[1, 2]\nend", 2, "behind the end of the list, on it can't be read: 'e' where there should be ["),
        ("[1], [2]", 1, "from character 3, behind the end of the list"),
        ('[1]{"a": 2}', 1, "from character 3, behind"),
        ("[1][2, ", 2, "ends too early"),
        ("[]\0", 0, "behind the end of the list"),
        ("[1]]", 1, "']' where there should be ["),
    ],
)
def test_damage_is_one_rejected_row_after_the_whole_ones(tmp_path: Path, text: str, whole: int, says: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    found = list(read_array(path))
    assert len(found) == whole + 1
    assert isinstance(found[-1], Rejected) and says in found[-1].detail and "list.json" in found[-1].detail


@pytest.mark.parametrize("between", ["", "\n", " \r\n\ufeff", "\t" * 50])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_lists_and_objects_one_behind_the_other(tmp_path: Path, between: str, chunk: int) -> None:
    path = tmp_path / "list.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "CHUNK", chunk)
        path.write_text(between.join(["\ufeff[1, 2]", "[]", '[{"a": [3]}]', "\n"]))
        assert list(read_array(path)) == [1, 2, {"a": [3]}]
        path.write_text(
            '{"images": [1], "x": "]}", "images": [2]}' + between + '{"y": {"images": [0]}, "images": [3]}'
        )
        assert list(read_array(path, "images")) == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "whole", "says"),
    [
        ('{"images": [1, 2]', 2, "ends too early"),
        ('{"images": [1]} text', 1, "behind the end of the object"),
        ('{"images": [1]}{"other": []}', 1, 'has no "images"'),
        ('{"images": {}}', 0, "'{' where there should be ["),
        ("{}", 0, "Expecting value"),
    ],
)
def test_damage_of_an_object(tmp_path: Path, text: str, whole: int, says: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    *found, last = read_array(path, "images")
    assert len(found) == whole and isinstance(last, Rejected) and says in last.detail


def test_an_object_without_the_key(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text('{"annotations": []}')
    (found,) = read_array(path, "images")
    assert isinstance(found, Rejected)
