"""The names of the files in a dataset directory (see ``docs/format.md``)."""

import re

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
