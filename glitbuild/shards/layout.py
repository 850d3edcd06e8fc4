"""The names of the files in a dataset directory (see ``docs/format.md``)."""

MANIFEST = "manifest.json"
SIZES = "sizes.json"
FOLDERS = ("shards", "pairs", "skipped")


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
