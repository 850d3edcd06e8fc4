"""Addresses as inputs and servers write them."""

from typing import TYPE_CHECKING

from glitbuild.records import SkipReason
from glitbuild.stages.ingest.source import Rejected

if TYPE_CHECKING:
    from yarl import URL


def parse_url(text: str) -> "URL":
    """Return an address without the credentials and the fragment it may have.

    Raises:
        Rejected: it is not one of http or https.
    """
    from yarl import URL

    text = text.strip()
    # What a server signed must reach it letter by letter.
    plain = text.isascii() and text.isprintable() and " " not in text
    try:
        url = URL(text, encoded=plain).with_fragment(None)
        if url.scheme not in ("http", "https") or not url.host:
            raise Rejected(SkipReason.DOWNLOAD_REFUSED, f"{text}: not an address of http or https")
        return url.with_user(None)
    except ValueError as error:
        raise Rejected(SkipReason.DOWNLOAD_REFUSED, f"{text}: not a valid address") from error
