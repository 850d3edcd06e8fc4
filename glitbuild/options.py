"""Declarative options: a dataclass field declares help, limits and use; everything else is derived from it."""

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

TYPES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
"""Types that an option may have, as error messages name them."""


class Content(Enum):
    """Whether an option affects the content of a dataset or run, and so must be the same when it is resumed."""

    NO = "no"
    """It does not: it says where to write, how fast, or what else to do."""

    YES = "yes"
    """It is recorded in the configuration."""

    IF_SET = "if set"
    """It is recorded in the configuration unless it has its default value."""

    DERIVED = "derived"
    """The stage records what the option refers to, such as a checksum or a model's identity."""


@dataclass(frozen=True, slots=True)
class Option:
    """Properties of an option that its field declares besides name, type and default.

    Attributes:
        help: help text, a sentence.
        content: whether the option affects what is written.
        absent: description of the effective default, if the declared one is None or empty.
        least: smallest allowed value.
        above: lower bound, itself not allowed.
        most: largest allowed value.
        below: upper bound, itself not allowed.
        choices: all allowed values; empty if not limited to a list.
        argument: whether it is a positional argument on the command line.
        metavar: placeholder for the value in help texts.
        count: required number of values; 0 if it is not fixed.
        commas: whether a comma-separated string is accepted as a list.
        numeric: whether a number is accepted and converted to a string.
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
        """Limits in words, such as ``at least 1`` or ``0 to 1``; empty if there are none."""
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
        help: help text, a sentence.
        **more: further attributes of ``Option``.
    """
    return {"option": Option(help, **more)}


OUT = about("Dataset directory to write; a local path or an fsspec URL.")
OVERWRITE = about("Remove what an earlier run wrote to --out first.")
RAY_ADDRESS = about("Ray cluster to join.", absent="Ray on this machine, for this run")


@dataclass(frozen=True, slots=True)
class Declared:
    """An option, complete with what follows from the name, type and default of its field.

    Attributes:
        name: name of the field, which is also the key in a pipeline file.
        type: type of a single value, one of ``TYPES``.
        several: whether there may be several values.
        nullable: whether None is allowed.
        choices: all allowed values; empty if not limited to a list.
        default: default value; MISSING if the option is required.
        option: properties that the field declares.
        inherited: whether a base class declares it.
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
        """Whether the option must be given."""
        return self.default is MISSING


def declared(options: type) -> tuple[Declared, ...]:
    """Return the options that a dataclass declares: its own in order, then those of its base classes.

    Raises:
        TypeError: a field has no ``about``, or a type that is not supported.
    """
    hints, base = get_type_hints(options), {name for kind in options.__mro__[1:] for name in _field_names(kind)}
    found = []
    for each in fields(options):
        if not isinstance(option := each.metadata.get("option"), Option):
            raise TypeError(f"{options.__name__}.{each.name} declares no option: give it metadata=about(...)")
        kind, several, nullable, choices = _parsed(hints[each.name])
        if kind not in TYPES:
            raise TypeError(f"{options.__name__}.{each.name}: unsupported option type {hints[each.name]}")
        choices = choices or option.choices
        found.append(Declared(each.name, kind, several, nullable, choices, each.default, option, each.name in base))
    return tuple(sorted(found, key=lambda one: one.inherited))


def _field_names(kind: type) -> Iterator[str]:
    return iter(getattr(kind, "__dataclass_fields__", {}))


def _parsed(hint: Any) -> tuple[Any, bool, bool, tuple[str, ...]]:
    """Return a type hint's base type, whether it is a list, whether it allows None, and its choices."""
    union = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    parts = [part for part in union if part is not NoneType]
    several = next((part for part in parts if get_origin(part) in (tuple, Sequence)), None)
    part = get_args(several)[0] if several else parts[0]
    choices = get_args(part) if get_origin(part) is Literal else ()
    return str if choices else part, several is not None, NoneType in union, choices


def flag(name: str, value: object = None) -> str:
    """Return an option as it is written on the command line, with its value if there is one."""
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{name.replace('_', '-')}"
    words = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return "--" + name.replace("_", "-") + ("" if value is None else f" {words}")


def argument(name: str, value: object = None) -> str:
    """Return an option as it is written in Python, with its value if there is one."""
    return name if value is None else f"{name}={tuple(value) if isinstance(value, list) else value!r}"


@dataclass(frozen=True, slots=True)
class Options:
    """Base class of all options; checks values against the declarations of the fields.

    Attributes:
        written: function that formats an option and its value for error messages.

    Raises:
        ConfigError: a value has the wrong type, is out of range, or is not one of the choices.
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
        given = value
        if isinstance(value, str | os.PathLike):
            value = str(value).split(",") if each.option.commas and value else [value] if value else []
            value = [_number(part) for part in value] if each.type is not str else value
        elif each.option.commas and isinstance(value, Real):
            value = [value]
        elif not isinstance(value, Iterable):
            raise ConfigError(self.written(each.name, value), "not a list", "give a list")
        parts = tuple(self._one(each, part, given) for part in value)
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


def _number(text: str) -> float | str:
    """Return the number that a text is, or the text if it is none."""
    try:
        return float(text)
    except ValueError:
        return text


def _is(value: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str | os.PathLike)
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    return isinstance(value, Integral if kind is int else Real)


def content_of(options: Options) -> dict[str, Any]:
    """Return, by name, the values that affect what is written; the stage adds those that are DERIVED."""
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
"""Name of a model in errors raised where the option that named it is unknown."""


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the two options with which a command selects its CLIP model, for error messages.

    Attributes:
        model: option for the architecture, the folder or ``demo``.
        pretrained: option for the tag or the checkpoint.
        written: function that formats any other option and its value.
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
    """Replace ``the CLIP model`` in errors by an option and its value."""
    try:
        yield
    except ModelError as error:
        if not error.what.startswith(THE_MODEL):
            raise
        raise ModelError(error.what.replace(THE_MODEL, option, 1), error.why, error.fix) from error
