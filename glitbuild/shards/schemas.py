"""The JSON Schemas in ``schemas/``, compiled."""

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema by the name of its file: ``sample`` for ``sample.schema.json``."""
    text = files("glitbuild").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _compiled(name: str) -> Callable[[Any], Any]:
    import fastjsonschema

    check: Callable[[Any], Any] = fastjsonschema.compile(schema(name), use_default=False)
    return check


def misfit(name: str, value: Any) -> str:
    """Return what about ``value`` does not fit the schema, or an empty string where it fits."""
    import fastjsonschema

    try:
        _compiled(name)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        return str(error.message).replace("data", name, 1)
    return ""


def parse(name: str, data: bytes) -> Any:
    """Return JSON that fits the schema.

    Raises:
        ValueError: it is not JSON, or does not fit; the message is a reason for people.
    """
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if problem := misfit(name, value):
        raise ValueError(problem)
    return value


def _refuse(constant: str) -> None:
    # Python reads NaN and Infinity, which are not JSON and which pass every minimum and maximum.
    raise ValueError(f"{constant} is no number")
