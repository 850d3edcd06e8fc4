"""File names of a dataset directory (see ``docs/format.md``), and validation against its JSON Schemas."""

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
"""Path of the sample counts in ``glit/1``."""

FOLDERS = ("shards", "pairs", "skipped", "truth")

_OWN = re.compile(r"(?:shards/(\d{5,})\.(?:tar|json)|pairs/(\d{5,})\.parquet|(?:skipped|truth)/(\d{5,})\.jsonl)")


def shard_name(index: int) -> str:
    """Return the name of the shard with this index, such as ``00042``."""
    return f"{index:05d}"


def tar_path(shard: str) -> str:
    """Return the path of a shard's tar."""
    return f"shards/{shard}.tar"


def sidecar_path(shard: str) -> str:
    """Return the path of a shard's sidecar, whose existence marks the shard as finished."""
    return f"shards/{shard}.json"


def pairs_path(shard: str) -> str:
    """Return the path of a matched shard's pairs table."""
    return f"pairs/{shard}.parquet"


def skipped_path(shard: str) -> str:
    """Return the path of the file that lists the input rows skipped in a shard."""
    return f"skipped/{shard}.jsonl"


def truth_path(shard: str) -> str:
    """Return the path of the file with the ground truth of a shard's scenes."""
    return f"truth/{shard}.jsonl"


def shard_files(shard: str, stage: str) -> list[str]:
    """Return the files of a shard other than its sidecar.

    The stage ``match`` adds the pairs table, the stage ``scenes`` the ground truth.
    """
    more = {"match": [pairs_path(shard)], "scenes": [truth_path(shard)]}.get(stage, [])
    return [tar_path(shard), *more, skipped_path(shard)]


def sizes_path(schema: str) -> str:
    """Return the path of the file with the number of samples per shard, for a dataset of this schema."""
    return FIRST_SIZES if schema == FIRST_SCHEMA else SIZES


def shard_of(path: str) -> str | None:
    """Return the shard that a file in a dataset directory belongs to; None if it belongs to no shard."""
    match = _OWN.fullmatch(path)
    return next(filter(None, match.groups())) if match else None


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema by name, such as ``sample`` for ``sample.schema.json``."""
    text = files("glitbuild").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _compiled(name: str) -> Callable[[Any], Any]:
    import fastjsonschema

    check: Callable[[Any], Any] = fastjsonschema.compile(schema(name), use_default=False)
    return check


def misfit(name: str, value: Any) -> str:
    """Return how ``value`` violates the schema, or an empty string if it conforms."""
    import fastjsonschema

    try:
        _compiled(name)(value)
    except fastjsonschema.JsonSchemaValueException as error:
        return str(error.message).replace("data", name, 1)
    return ""


def parse(name: str, data: bytes) -> Any:
    """Parse JSON that must conform to a schema.

    Raises:
        ValueError: the data is not JSON or does not conform; the message explains why.
    """
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if problem := misfit(name, value):
        raise ValueError(problem)
    return value


def _refuse(constant: str) -> None:
    # Python accepts NaN and Infinity, which are not valid JSON and would pass every minimum and maximum.
    raise ValueError(f"{constant} is not a number")
