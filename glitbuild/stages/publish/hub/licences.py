"""From what people call a licence to the identifiers that the Hub knows."""

import re
from collections.abc import Iterable
from typing import Any

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
"""Those of the Hub's list that a dataset or a CLIP may have; a licence of a family of language models may not."""

_DEED = re.compile(r"creativecommons\.org/(?:licenses/([a-z-]+)|publicdomain/(zero))/(\d\.\d)")
_SAME = {"cc0": "cc0-1.0", "apache": "apache-2.0", "apache-license-2.0": "apache-2.0", "mit-license": "mit"}


def identifier(licence: str) -> str | None:
    """Return the Hub's identifier of a licence, such as ``cc-by-4.0`` for ``CC BY 4.0`` or for the deed's address.

    None where the Hub has no such licence.
    """
    if deed := _DEED.search(licence.lower()):
        name = "cc0-1.0" if deed[2] else f"cc-{deed[1]}-{deed[3]}"
    else:
        name = _slug(licence)
    name = _SAME.get(name, name)
    return name if name in IDENTIFIERS else None


def metadata(licences: Iterable[str]) -> dict[str, Any]:
    """Return what a card's front matter says of the licences of its samples; empty where none says one.

    Args:
        licences: as the samples have them, ``""`` where one has none.
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
