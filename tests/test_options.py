import math
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.cli import COMMON, make_command
from glitbuild.commands import COMMANDS
from glitbuild.errors import ConfigError
from glitbuild.options import Content, Option, Options, about, content_of, declared, resumable

RESUMED = ("scenes", "ingest", "caption", "match", "train")
"""The commands whose output remembers its options."""


@dataclass(frozen=True, slots=True)
class Base(Options):
    colour: str = field(default="red", metadata=about("Colour.", choices=("red", "blue")))


@dataclass(frozen=True, slots=True)
class Example(Base):
    count: int = field(default=1, metadata=about("Count.", least=1, most=9, content=Content.YES))
    share: float = field(default=0.5, metadata=about("Share.", above=0, below=1, content=Content.YES))
    size: int | None = field(default=None, metadata=about("Size.", least=8, content=Content.IF_SET))
    names: tuple[str, ...] = field(default=(), metadata=about("Names.", commas=True))
    inputs: tuple[str, ...] = field(default=(), metadata=about("Inputs.", content=Content.DERIVED))
    mean: tuple[float, float, float] | None = field(default=None, metadata=about("Mean.", count=3))
    limit: str | None = field(default=None, metadata=about("Limit.", numeric=True))
    fast: bool = field(default=False, metadata=about("Fast."))


@pytest.mark.parametrize("name", COMMANDS)
def test_each_field_is_an_option_on_the_command_line_with_the_same_default(name: str) -> None:
    options, command = COMMANDS[name].load_options(), make_command(name)
    by_name = {parameter.name: parameter for parameter in command.params if parameter not in COMMON}
    assert sorted(by_name) == sorted(each.name for each in fields(options))
    with click.Context(command) as context:
        for each in fields(options):
            if each.default is MISSING:
                assert by_name[each.name].required
            elif each.default not in ((), None):
                assert by_name[each.name].get_default(context) == each.default


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_has_a_sentence_of_help_and_its_own_default_is_allowed(name: str) -> None:
    for each in declared(COMMANDS[name].load_options()):
        assert each.option.help.endswith("."), each.name
        if each.type in (int, float) and not each.several and each.default not in (MISSING, None):
            assert each.option.allows(each.default), each.name
        assert not each.choices or each.default in (MISSING, None) or each.default in each.choices


@pytest.mark.parametrize("name", COMMANDS)
def test_only_what_is_resumed_has_options_that_decide_its_content(name: str) -> None:
    options = COMMANDS[name].load_options()
    decide = {each.name for each in declared(options) if not each.inherited} - resumable(options)
    assert bool(decide) == (name in RESUMED)
    assert not decide & {"out", "overwrite", "workers", "gpus", "ray_address", "resume"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"count": 0}, "--count 0"),
        ({"count": 10}, "--count 10"),
        ({"count": 2.5}, "--count 2.5"),
        ({"count": True}, "--no-count|--count"),
        ({"count": "3"}, "--count 3"),
        ({"share": 0}, "--share 0"),
        ({"share": 1.0}, "--share 1.0"),
        ({"share": math.nan}, "--share nan"),
        ({"share": math.inf}, "--share inf"),
        ({"share": None}, "--share"),
        ({"size": 7}, "--size 7"),
        ({"names": 3}, "--names 3"),
        ({"names": ["a", 3]}, "--names a 3"),
        ({"mean": [1.0, 2.0]}, "--mean 1.0 2.0"),
        ({"mean": [1.0, 2.0, math.nan]}, "--mean 1.0 2.0 nan"),
        ({"colour": "green"}, "--colour green"),
        ({"colour": 1}, "--colour 1"),
        ({"fast": "yes"}, "--fast yes"),
        ({"fast": 1}, "--fast 1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Example(**given)


def test_values_are_taken_as_programs_and_recipes_give_them() -> None:
    one = Example(share=np.float32(0.5), count=np.int64(3), names="a,b", inputs="photos", mean=[1, 2, 3], limit=500)  # type: ignore[arg-type]
    assert one == Example(count=3, names=("a", "b"), inputs=("photos",), mean=(1.0, 2.0, 3.0), limit="500")
    assert type(one.count) is int
    assert type(one.share) is float
    assert Example(inputs=[Path("a"), "b"]).inputs == ("a", "b")  # type: ignore[arg-type]
    assert Example(names="").names == Example(inputs=[]).inputs == ()  # type: ignore[arg-type]


@given(st.floats(), st.sampled_from(["least", "above", "most", "below"]), st.floats(-5, 5))
def test_limits_are_what_their_words_say(number: float, word: str, limit: float) -> None:
    inside = {"least": number >= limit, "above": number > limit, "most": number <= limit, "below": number < limit}
    assert Option("", **{word: limit}).allows(number) == inside[word]  # type: ignore[arg-type]


def test_what_decides_the_content_is_what_stands_in_the_configuration() -> None:
    assert content_of(Example(inputs=("a",), fast=True)) == {"count": 1, "share": 0.5}
    assert content_of(Example(count=2, size=16)) == {"count": 2, "share": 0.5, "size": 16}
    assert resumable(Example) == {"colour", "names", "mean", "limit", "fast"}


def test_own_options_come_before_inherited_ones() -> None:
    assert [each.name for each in declared(Example)][-1] == "colour"


def test_a_field_without_a_declaration_is_a_mistake_in_the_program() -> None:
    @dataclass(frozen=True, slots=True)
    class Forgotten(Options):
        size: int = 3

    with pytest.raises(TypeError, match=r"Forgotten.size"):
        declared(Forgotten)
