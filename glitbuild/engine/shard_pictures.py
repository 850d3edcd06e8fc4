"""What a sidecar keeps of the pictures of its rows, so that a later run knows which came before."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from heapq import merge
from itertools import chain
from typing import Any

from glitbuild.errors import DatasetError
from glitbuild.shards.layout import sidecar_path
from glitbuild.shards.retried import is_retried, rows_made_of, sidecars
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store


def describe_pictures(pictures: bytes) -> dict[str, Any]:
    """Return the part of a sidecar's ``input`` that keeps the pictures of its rows, as many bytes for each."""
    return {"pictures": b64encode(pictures).decode()}


def read_pictures(store: Store, sidecar: Sidecar, size: int) -> Iterator[bytes]:
    """Return what a sidecar keeps of the picture of each row that its shard was made of; zeros if it was skipped.

    Args:
        store: the dataset directory, for the error.
        sidecar: of the shard.
        size: bytes a picture.

    Raises:
        DatasetError: there are more, or less, than its rows have.
    """
    rows = len(rows_made_of(sidecar))
    try:
        data = b64decode(sidecar.input.get("pictures", ""), validate=True)
        if len(data) != rows * size:
            raise ValueError(f"{len(data)} bytes of pictures for {rows} rows")
    except (TypeError, ValueError) as error:
        path, fix = store.path(sidecar_path(sidecar.shard)), "remove it and run the command again"
        raise DatasetError(path, f"its pictures are not those of its rows: {error}", fix) from error
    return (data[row * size : (row + 1) * size] for row in range(rows))


def pictures_by_row(store: Store, size: int) -> Iterator[tuple[int, bytes]]:
    """Return the samples of all finished shards by the numbers of their rows, rising, with their pictures.

    In memory are those of one shard, and those of rows that were tried again.

    Args:
        store: the dataset directory.
        size: bytes a picture; where it is 0, none is kept.

    Raises:
        DatasetError: a sidecar keeps others than those of its rows.
    """
    if not size:
        return iter(())
    retried = [sidecar for sidecar in sidecars(store) if is_retried(sidecar)]
    others = (sidecar for sidecar in sidecars(store) if not is_retried(sidecar))
    first = chain.from_iterable(_numbered(store, sidecar, size) for sidecar in others)
    rows = merge(first, *(_numbered(store, sidecar, size) for sidecar in retried))
    return ((row, picture) for row, picture in rows if any(picture))


def _numbered(store: Store, sidecar: Sidecar, size: int) -> Iterator[tuple[int, bytes]]:
    return zip(rows_made_of(sidecar), read_pictures(store, sidecar, size), strict=True)
