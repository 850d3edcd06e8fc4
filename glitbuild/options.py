"""Options, declared once: a field of a dataclass says its help, limits and use; all else is made from it."""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from glitbuild.errors import ConfigError, ModelError

TYPES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
"""Types that an option may have, in words."""


class Content(Enum):
    """Whether an option decides what is in a dataset or a run, and so must be the same when that is resumed."""

    NO = "no"
    """It says where to write, how fast, or what else to do."""

    YES = "yes"
    """It stands in the configuration."""

    IF_SET = "if set"
    """It stands in the configuration unless it has its default."""

    DERIVED = "derived"
    """What it names stands there, such as a checksum or a model's identity. The stage adds it."""


@dataclass(frozen=True, slots=True)
class Option:
    """What a field says of its option beside name, type and default.

    Attributes:
        help: a sentence.
        content: whether it decides what is written.
        absent: what holds without it, where the default is None or empty.
        least: smallest value.
        above: largest value that is too small.
        most: largest value.
        below: smallest value that is too large.
        choices: all values there are.
        argument: on the command line it has no name.
        metavar: stands for the value in help texts.
        count: number of values, where there are several and their number is fixed.
        commas: a text of several values, separated by commas, is as good as a list.
        numeric: a number stands for the text with its digits.
    """

    help: str
    content: Content = Content.NO
    absent: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    argument: bool = False
    metavar: str = ""
    count: int = 0
    commas: bool = False
    numeric: bool = False

    @property
    def limits(self) -> str:
        """Limits in words, such as ``at least 1`` or ``0 to 1``; empty where there are none."""
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {limit}" for word, limit in words.items() if limit is not None)

    def allows(self, number: float) -> bool:
        """Return whether a number is within the limits."""
        return (
            (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.below is None or number < self.below)
        )


def about(help: str, **more: Any) -> Mapping[str, Option]:
    """Return the metadata of a field, as in ``field(default=10, metadata=about("Number of epochs.", least=1))``.

    Args:
        help: a sentence.
        **more: as in ``Option``.
    """
    return {"option": Option(help, **more)}


OUT = about("Dataset directory to write; a local path or an fsspec URL.")
OVERWRITE = about("Remove what an earlier run wrote to --out first.")
RAY_ADDRESS = about("Ray cluster to join.", absent="Ray on this machine, for this run")


@dataclass(frozen=True, slots=True)
class Declared:
    """An option with what its field says by itself.

    Attributes:
        name: of the field, and so of the key in a recipe.
        type: of a value: one of ``TYPES``.
        several: there may be several values.
        nullable: None is a value.
        choices: all values there are; empty where any is one.
        default: MISSING where it is required.
        option: what was said of it.
        inherited: it belongs to a base class.
    """

    name: str
    type: type
    several: bool
    nullable: bool
    choices: tuple[str, ...]
    default: Any
    option: Option
    inherited: bool

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING


def declared(options: type) -> tuple[Declared, ...]:
    """Return the options that a dataclass declares: its own in their order, then those of its base classes.

    Raises:
        TypeError: a field has no ``about``, or a type that no option has.
    """
    hints, base = get_type_hints(options), {name for kind in options.__mro__[1:] for name in _field_names(kind)}
    found = []
    for each in fields(options):
        if not isinstance(option := each.metadata.get("option"), Option):
            raise TypeError(f"{options.__name__}.{each.name} declares no option: give it metadata=about(...)")
        kind, several, nullable, choices = _parsed(hints[each.name])
        if kind not in TYPES:
            raise TypeError(f"{options.__name__}.{each.name}: no option has the type {hints[each.name]}")
        choices = choices or option.choices
        found.append(Declared(each.name, kind, several, nullable, choices, each.default, option, each.name in base))
    return tuple(sorted(found, key=lambda one: one.inherited))


def _field_names(kind: type) -> Iterator[str]:
    return iter(getattr(kind, "__dataclass_fields__", {}))


def _parsed(hint: Any) -> tuple[Any, bool, bool, tuple[str, ...]]:
    """Return a hint's type, whether there may be several values, whether None is one, and its choices."""
    union = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    parts = [part for part in union if part is not NoneType]
    several = next((part for part in parts if get_origin(part) in (tuple, Sequence)), None)
    part = get_args(several)[0] if several else parts[0]
    choices = get_args(part) if get_origin(part) is Literal else ()
    return str if choices else part, several is not None, NoneType in union, choices


def flag(name: str, value: object = None) -> str:
    """Return an option as it is written on the command line, with its value where one is given."""
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name.replace('_', '-')}"
    words = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return "--" + name.replace("_", "-") + ("" if value is None else f" {words}")


def argument(name: str, value: object = None) -> str:
    """Return an option as it is written in Python, with its value where one is given."""
    return name if value is None else f"{name}={tuple(value) if isinstance(value, list) else value!r}"


@dataclass(frozen=True, slots=True)
class Options:
    """Base of all options: checks values against what the fields declare.

    Attributes:
        written: how errors write an option and its value.

    Raises:
        ConfigError: a value has another type, is out of its limits, or none of the choices.
    """

    written: ClassVar[Callable[..., str]] = staticmethod(flag)

    def __post_init__(self) -> None:
        for each in declared(type(self)):
            object.__setattr__(self, each.name, self._checked(each, getattr(self, each.name)))

    def _checked(self, each: Declared, value: Any) -> Any:
        if value is None and each.nullable:
            return None
        if not each.several:
            return self._one(each, value, value)
        if isinstance(value, str | os.PathLike):
            value = str(value).split(",") if each.option.commas and value else [value] if value else []
        elif not isinstance(value, Iterable):
            raise ConfigError(self.written(each.name, value), "not a list", "give a list")
        parts = tuple(self._one(each, part, value) for part in value)
        if each.option.count not in (0, len(parts)):
            what = self.written(each.name, list(parts))
            raise ConfigError(what, f"not {each.option.count} values", f"give {each.option.count}")
        return parts

    def _one(self, each: Declared, part: Any, value: Any) -> Any:
        option, name = each.option, each.name
        if option.numeric and _is(part, float):
            part = str(part)
        if not _is(part, each.type):
            wanted = TYPES[each.type]
            raise ConfigError(self.written(name, value), f"not {wanted}", f"give {wanted}")
        part = os.fspath(part) if each.type is str else each.type(part)
        if each.type is float and not math.isfinite(part):
            fix = f"give a finite number{', ' if option.limits else ''}{option.limits}"
            raise ConfigError(self.written(name, value), "not a finite number", fix)
        if each.type in (int, float) and not option.allows(part):
            raise ConfigError(self.written(name, value), "out of range", f"give {option.limits}")
        if each.choices and part not in each.choices:
            raise ConfigError(self.written(name, value), "unknown", "give " + " or ".join(each.choices))
        return part


def _is(value: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str | os.PathLike)
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, Integral if kind is int else Real)


def content_of(options: Options) -> dict[str, Any]:
    """Return by name the values that decide what is written; the stage adds those that are DERIVED."""
    values = [(each, getattr(options, each.name)) for each in declared(type(options))]
    return {
        each.name: value
        for each, value in values
        if each.option.content is Content.YES or (each.option.content is Content.IF_SET and value != each.default)
    }


def resumable(options: type[Options]) -> frozenset[str]:
    """Return the names of the options that may change when a run is resumed."""
    return frozenset(each.name for each in declared(options) if each.option.content is Content.NO)


THE_MODEL = "the CLIP model"
"""What errors call a model where it is not known which option named it."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a command calls the two options that name its CLIP, for errors that blame the right one.

    Attributes:
        model: the option for the architecture, the folder or ``demo``.
        pretrained: the option for the tag or the checkpoint.
        written: how any other option is written, with its value.
    """

    model: str
    pretrained: str
    written: Callable[..., str] = flag


MATCH = Names("--clip-model", "--clip-pretrained")
TRAIN = Names("--model", "--pretrained")
EVAL = Names("MODEL", "--pretrained")
LOAD_CLIP = Names("model", "pretrained", argument)


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Put an option, with its value, into errors that say ``the CLIP model``."""
    try:
        yield
    except ModelError as error:
        if not error.what.startswith(THE_MODEL):
            raise
        raise ModelError(error.what.replace(THE_MODEL, option, 1), error.why, error.fix) from error
