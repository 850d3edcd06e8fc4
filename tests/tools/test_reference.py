from pathlib import Path

import jsonschema
import pytest

from glitbuild.commands import COMMANDS
from glitbuild.options import declared, flag
from tools.reference import BLOCK, SCHEMA, pages, schema, schema_text, table

PAGES = list(pages())
STAGES = schema()["properties"]["stages"]["items"]["properties"]


def test_the_schema_is_the_one_that_the_options_make() -> None:
    assert SCHEMA.read_text() == schema_text(), "run: python -m tools.reference"
    jsonschema.Draft7Validator.check_schema(schema())


@pytest.mark.parametrize(("path", "text"), PAGES, ids=[path.name for path, _ in PAGES])
def test_the_tables_of_options_are_those_that_the_options_make(path: Path, text: str) -> None:
    assert path.read_text() == text, "run: python -m tools.reference"


def test_each_option_of_each_command_is_in_a_table() -> None:
    blocks = [found for path, _ in PAGES for found in BLOCK.finditer(path.read_text())]
    shared = {
        name for found in blocks if found["base"] for name in table(found["command"], found["base"]).split("`")
    }
    for name, command in COMMANDS.items():
        if name == "run":  # which has no option, only an argument
            continue
        own = {word for found in blocks if found["command"] == name for word in found[0].split("`")}
        for each in declared(command.load_options()):
            assert each.option.argument or flag(each.name) in own | shared, f"{name} {each.name}"


@pytest.mark.parametrize(
    ("stage", "options", "fits"),
    [
        ("train", {"dir": "a", "out": "b", "warmup": 0.5}, True),
        ("train", {"dir": "a", "out": "b", "warmup": 1}, False),
        ("train", {"dir": "a", "out": "b", "lr": 0}, False),
        ("train", {"dir": "a", "out": "b", "cache_size": 500}, True),
        ("train", {"dir": "a", "out": "b", "pairs": "worst"}, False),
        ("train", {"dir": "a"}, False),
        ("ingest", {"source": "a", "out": "b", "keep_columns": "x,y"}, True),
        ("ingest", {"source": ["a", "b"], "out": "b", "exclude": []}, True),
        ("ingest", {"source": [], "out": "b"}, False),
        ("match", {"dir": "a", "out": "b", "image_mean": [0.5, 0.5, 0.5]}, True),
        ("match", {"dir": "a", "out": "b", "image_mean": [0.5, 0.5]}, False),
        ("match", {"dir": "a", "out": "b", "colour": "red"}, False),
    ],
)
def test_recipes_have_the_types_limits_and_choices_of_the_options(
    stage: str, options: dict[str, object], fits: bool
) -> None:
    assert jsonschema.Draft7Validator(STAGES[stage]).is_valid(options) == fits
