from pathlib import Path

import pytest

from glitbuild.errors import ConfigError
from glitbuild.pipeline import read_recipe

TWICE = {
    "an option": ("stages:\n  - ingest:\n      source: a\n      out: b\n      source: c\n", 5, "source", 3),
    "an option, quoted once": ("stages:\n- ingest:\n    source: a\n    out: b\n    'out': c\n", 5, "out", 4),
    "in one line": ("stages: [{ingest: {source: a, out: b, out: c}}]", 1, "out", 1),
    "a stage": ("stages:\n- ingest: {source: a, out: b}\n  ingest: {source: a, out: c}\n", 3, "ingest", 2),
    "the stages": (
        "stages:\n- ingest: {source: a, out: b}\nstages:\n- ingest: {source: a, out: c}\n",
        3,
        "stages",
        1,
    ),
    "the description": ("description: a\ndescription: b\nstages: []\n", 2, "description", 1),
    "with the same value": ("stages:\n- match:\n    dir: a\n    out: b\n    out: b\n", 5, "out", 4),
}


def recipe(tmp_path: Path, text: str) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("text", "line", "key", "first"), TWICE.values(), ids=TWICE)
def test_a_key_that_comes_twice_is_refused(text: str, line: int, key: str, first: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_recipe(recipe(tmp_path, text))
    assert error.value.what == f"{tmp_path}/recipe.yaml, line {line}"
    assert error.value.why == f"the key {key} is repeated; it is first given in line {first}"


def test_keys_of_different_mappings_are_no_repetition(tmp_path: Path) -> None:
    text = (
        "stages:\n- scenes: &one\n    count: 1\n    out: a\n- scenes:\n    <<: *one\n    out: b\n"
        "- match: {dir: a, out: b}\n"
    )
    stages = read_recipe(recipe(tmp_path, text))["stages"]
    assert stages[1] == {"scenes": {"count": 1, "out": "b"}} and len(stages) == 3


def test_homes_and_variables_are_expanded_in_every_option(tmp_path: Path) -> None:
    text = (
        "description: costs $5, ~ and ${NOSUCH}\n"
        "stages:\n- ingest:\n    source: [~/photos, '${DATA}/more']\n    out: $DATA/raw\n    shard_size: 3\n"
        "- caption: {dir: a, out: b, endpoint: 'http://${HOST:-localhost}/v1', model: 'a$$b'}\n"
    )
    found = read_recipe(recipe(tmp_path, text), {"DATA": "/data"})
    home = str(Path.home())
    assert found["description"] == "costs $5, ~ and ${NOSUCH}"
    assert found["stages"] == [
        {"ingest": {"source": [f"{home}/photos", "/data/more"], "out": "/data/raw", "shard_size": 3}},
        {"caption": {"dir": "a", "out": "b", "endpoint": "http://localhost/v1", "model": "a$b"}},
    ]


def test_a_variable_that_is_not_set_is_named_with_its_option(tmp_path: Path) -> None:
    path = recipe(tmp_path, "stages:\n- ingest: {source: a, out: b}\n- match: {dir: b, out: '${PAIRS}/c'}\n")
    with pytest.raises(ConfigError, match="the variable PAIRS is not set") as error:
        read_recipe(path, {})
    assert error.value.what == f"{path}, stage 2, out"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stages: [", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("stages: &all [*all]", "an alias that contains itself"),
        ("stages: 2026-13-45", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
    ],
    ids=["open", "two", "alias", "date", "deep"],
)
def test_what_is_no_yaml_is_said(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        read_recipe(recipe(tmp_path, text))


@pytest.mark.parametrize("text", ["", "[]", "7", "stages: 7", "stages: [7]", "stages: [{ingest: 7}]"])
def test_what_the_schema_refuses_is_left_to_it(text: str, tmp_path: Path) -> None:
    read_recipe(recipe(tmp_path, text))
