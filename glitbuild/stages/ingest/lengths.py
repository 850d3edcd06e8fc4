"""How long texts of a record may be, and how longer ones are cut."""

import hashlib

from glitbuild.records import writable

LONGEST = 1000
"""Characters of a text of ``source``, or of a detail, that a record holds; what is longer is cut."""
LONGEST_URL = 8000
"""Characters of an address."""


def cut_text(text: str, longest: int = LONGEST) -> str:
    """Return a text of ``source`` as it is stored; cut ones that begin alike differ in a hash."""
    text = writable(text)
    if len(text) <= longest:
        return text
    mark = f"…[{len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}]"
    return text[: longest - len(mark)] + mark


def cut_detail(detail: str) -> str:
    """Return a detail as it is stored; of one that is cut, the beginning and the end, which tells the reason."""
    detail = writable(detail)
    if len(detail) <= LONGEST:
        return detail
    mark = f"…[{len(detail)} characters]…"
    head = LONGEST * 3 // 4
    return detail[:head] + mark + detail[len(detail) - (LONGEST - head - len(mark)) :]
