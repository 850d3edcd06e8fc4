"""Facts for a card that the manifest doesn't have: types of the records, and licences as Hub identifiers."""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from glitbuild.errors import DatasetError
from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.store import Store

_VERSIONED = {
    "cc-by": "2.0 2.5 3.0 4.0",
    "cc-by-sa": "3.0 4.0",
    "cc-by-nc": "2.0 3.0 4.0",
    "cc-by-nd": "4.0",
    "cc-by-nc-nd": "3.0 4.0",
    "cc-by-nc-sa": "2.0 3.0 4.0",
    "gpl": "2.0 3.0",
    "lgpl": "2.1 3.0",
    "eupl": "1.1 1.2",
    "cdla-permissive": "1.0 2.0",
}
_OTHERS = (
    "afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 "
    "bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda cc cc0-1.0 "
    "cdla-sharing-1.0 creativeml-openrail-m ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 gfdl gpl h-research intel-research "
    "isc lgpl lgpl-lr lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 openrail openrail++ osl-3.0 pddl "
    "postgresql unknown unlicense wtfpl zlib"
)
IDENTIFIERS = frozenset(
    [f"{name}-{version}" for name, versions in _VERSIONED.items() for version in versions.split()] + _OTHERS.split()
)
"""Identifiers from the Hub's list that may apply to a dataset or a CLIP; those of language models may not."""

_DEED = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)|publicdomain/(zero))/(\d\.\d)")
_SAME = {"cc0": "cc0-1.0", "apache": "apache-2.0", "apache-license-2.0": "apache-2.0", "mit-license": "mit"}


def identifier(licence: str) -> str | None:
    """Return the Hub's identifier of a licence: ``cc-by-4.0`` for ``CC BY 4.0`` and for the URL of its deed.

    None if the Hub has no such licence.
    """
    if deed := _DEED.search(licence.lower()):
        name = "cc0-1.0" if deed[2] else f"cc-{deed[1]}-{deed[3]}"
    else:
        name = _slug(licence)
    name = _SAME.get(name, name)
    return name if name in IDENTIFIERS else None


def metadata(licences: Iterable[str]) -> dict[str, Any]:
    """Return the front matter of a card on the licences of its samples; empty if no sample states one.

    Args:
        licences: licences of the samples, ``""`` for a sample without one.
    """
    found = sorted(set(licences))
    if not any(found):
        return {}
    names = [identifier(licence) or "other" if licence else "unknown" for licence in found]
    names = sorted(set(names))
    others = [licence for licence in found if licence and identifier(licence) is None]
    content: dict[str, Any] = {"license": names[0] if len(names) == 1 else names}
    return content | ({"license_name": _slug(others[0])} if len(others) == 1 else {})


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")


RECORDS = 1000
"""Number of records, from the first shard that has any, that decide the types."""


@dataclass(slots=True)
class Survey:
    """Results of reading the records.

    Attributes:
        sources: number of samples per source dataset and licence, as the samples name them.
        records: some of the records.
    """

    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    records: list[dict[str, Any]] = field(default_factory=list)


def survey(
    store: Store, manifest: Manifest, all_of_it: bool, progress: Callable[[int], None] = lambda samples: None
) -> Survey:
    """Read the records of a dataset; images are skipped if the file system allows it.

    Args:
        store: dataset directory.
        manifest: manifest of the dataset.
        all_of_it: whether to count the sources; otherwise only the first shard with samples is read.
        progress: called after each shard with the number of samples read.

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
        raise DatasetError(store.path(tar_path(shard)), why, "run `glitbuild validate` on the dataset") from error
