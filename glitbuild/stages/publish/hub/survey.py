"""What a card says that the manifest doesn't know: where the samples are from, and the types of their records."""

import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from glitbuild.errors import DatasetError
from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.store import Store

RECORDS = 1000
"""So many records, of the first shard that has any, decide the types."""


@dataclass(slots=True)
class Survey:
    """What the records say.

    Attributes:
        sources: how many samples are from which dataset under which licence, as the samples call both.
        records: some of them.
    """

    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    records: list[dict[str, Any]] = field(default_factory=list)


def survey(
    store: Store, manifest: Manifest, all_of_it: bool, progress: Callable[[int], None] = lambda samples: None
) -> Survey:
    """Read the records of a dataset, not its pictures, which are passed over where the file system can.

    Args:
        store: the dataset directory.
        manifest: of the dataset.
        all_of_it: count the sources; otherwise only the first shard with samples is read.
        progress: called with the number of samples read, a shard at a time.

    Raises:
        DatasetError: a shard is damaged.
    """
    found = Survey()
    for entry in manifest.shards:
        if found.records and not all_of_it:
            break
        types_known = bool(found.records)
        for record in _records(store, entry.name):
            if all_of_it:
                found.sources[record["source"]["dataset"], record["source"]["license"]] += 1
            if not types_known and len(found.records) < RECORDS:
                found.records.append(record)
        progress(entry.samples)
    return found


def _records(store: Store, shard: str) -> Iterator[dict[str, Any]]:
    try:
        with store.open(tar_path(shard)) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    content = tar.extractfile(member)
                    assert content
                    record = json.load(content)
                    record["source"]["dataset"], record["source"]["license"]
                    yield record
    except (tarfile.TarError, KeyError, TypeError, ValueError) as error:
        why = f"its records can't be read ({error!r})"
        raise DatasetError(store.path(tar_path(shard)), why, "see glitbuild validate") from error
