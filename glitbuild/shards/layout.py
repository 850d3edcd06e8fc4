"""The files of a dataset directory (see ``docs/format.md``): their names, and their JSON Schemas, compiled."""

import json
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from glitbuild.records import FIRST_SCHEMA

MANIFEST = "manifest.json"
SIZES = "shards/sizes.json"
FIRST_SIZES = "sizes.json"
"""Where ``glit/1`` has the numbers of samples."""

FOLDERS = ("shards", "pairs", "skipped", "truth")

_OWN = re.compile(r"(?:shards/(\d{5,})\.(?:tar|json)|pairs/(\d{5,})\.parquet|(?:skipped|truth)/(\d{5,})\.jsonl)")


def shard_name(index: int) -> str:
    """Return the name of the shard with this running number: ``00042``."""
    return f"{index:05d}"


def tar_path(shard: str) -> str:
    """Return where a shard's samples are."""
    return f"shards/{shard}.tar"


def sidecar_path(shard: str) -> str:
    """Return where the file is whose being there says that the shard is done."""
    return f"shards/{shard}.json"


def pairs_path(shard: str) -> str:
    """Return where a matched shard's table of pairs is."""
    return f"pairs/{shard}.parquet"


def skipped_path(shard: str) -> str:
    """Return where the inputs are listed that did not make it into a shard."""
    return f"skipped/{shard}.jsonl"


def truth_path(shard: str) -> str:
    """Return where it is written what is true of the scenes in a shard."""
    return f"truth/{shard}.jsonl"


def shard_files(shard: str, stage: str) -> list[str]:
    """Return the files of a shard beside its sidecar.

    The table of pairs comes with the stage ``match``, the truth with the stage ``scenes``.
    """
    more = {"match": [pairs_path(shard)], "scenes": [truth_path(shard)]}.get(stage, [])
    return [tar_path(shard), *more, skipped_path(shard)]


def sizes_path(schema: str) -> str:
    """Return where a dataset of this schema has the numbers of samples of its shards."""
    return FIRST_SIZES if schema == FIRST_SCHEMA else SIZES


def shard_of(path: str) -> str | None:
    """Return the shard that a file in a dataset directory belongs to; None where it isn't a shard's file."""
    match = _OWN.fullmatch(path)
    return next(filter(None, match.groups())) if match else None


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
