"""One download: a request, its redirects, what its headers say, and the bytes."""

import asyncio
import re
import ssl
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from glitbuild import __version__
from glitbuild.errors import ConfigError
from glitbuild.options import Options, about
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.download.address import AddressRefusedError, parse_url

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions(Options):
    """How images are downloaded. None of it decides what a finished dataset must hold."""

    connections: int = field(default=64, metadata=about("Number of concurrent downloads per worker.", least=1))
    connections_per_host: int = field(default=16, metadata=about("Concurrent downloads per host.", least=1))
    timeout: float = field(
        default=10.0,
        metadata=about("Seconds without a byte, connecting included, after which a request fails.", above=0),
    )
    total_timeout: float = field(default=60.0, metadata=about("Seconds that a request may take in total.", above=0))
    retries: int = field(default=2, metadata=about("Retries per failed download, where they may help.", least=0))
    retry_wait: float = field(
        default=1.0, metadata=about("Seconds before the first retry, doubled for each further one.", least=0)
    )
    max_download_bytes: int = field(
        default=32 << 20, metadata=about("Largest download in bytes; larger ones are skipped.", least=1)
    )
    user_agent_token: str = field(
        default="", metadata=about("Your own user agent, sent as glitbuild/VERSION (compatible; NAME).")
    )
    ignore_opt_out: bool = field(
        default=False, metadata=about("Download images whose servers say noai or noindex.")
    )
    allow_private_hosts: bool = field(
        default=False, metadata=about("Allow URLs on this machine and in private networks.")
    )

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if not re.fullmatch(r"[\w.+:/@~-]*", self.user_agent_token, re.ASCII):
            what = self.written("user_agent_token", self.user_agent_token)
            raise ConfigError(what, "not a name for a header", "give one plain word")


DISALLOWED = ("noai", "noimageai", "noindex", "noimageindex", "none")
"""The directives that img2dataset heeds, and ``none``, which stands for ``noindex, nofollow``."""

VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
"""Directives with a value behind a colon, where otherwise a robot's name is in front of one."""


def opted_out(headers: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the first directive by which a server asks not to use its picture, or None.

    Args:
        headers: the values of all ``X-Robots-Tag`` headers: directives separated by commas, in front of them
            perhaps the name of the robot they are for (``glitbuild: noai``), which holds up to the next name.
        names: by which this robot may be called, in lower case; directives for others don't count.
    """
    own = set(names)
    for header in headers:
        concerned = True
        for part in header.lower().split(","):
            name, colon, directive = part.partition(":")
            if colon and name.strip() not in VALUED:
                concerned = name.strip() in own
                part = directive
            if concerned and part.strip() in DISALLOWED:
                return part.strip()
    return None


ROBOT = "glitbuild"
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 1 << 16


class Transient(Rejected):
    """A rejection that trying again may help.

    Args:
        reason: as of any rejection.
        detail: same as above.
        wait: seconds that the server asks to wait; None where it doesn't say.
    """

    def __init__(self, reason: SkipReason, detail: str, wait: float | None = None) -> None:
        super().__init__(reason, detail)
        self.wait = wait


def headers(options: DownloadOptions) -> dict[str, str]:
    """Return what every request says: who asks, and that pictures are wanted as they are."""
    token = f" (compatible; {options.user_agent_token})" if options.user_agent_token else ""
    return {
        "User-Agent": f"{ROBOT}/{__version__}{token}",
        "Accept": "image/*, */*;q=0.5",
        "Accept-Encoding": "identity",
    }


async def fetch(session: "ClientSession", url: "URL", options: DownloadOptions) -> "bytes | URL":
    """Ask once.

    Args:
        session: its sockets are guarded, and it neither decompresses nor keeps cookies.
        url: of http or https.
        options: of the command.

    Returns:
        The body, or the address that the server redirects to.

    Raises:
        Rejected: with the reason; a Transient where trying again may help.
    """
    import aiohttp

    host = url.host
    try:
        async with (
            asyncio.timeout(options.total_timeout),
            session.get(url, allow_redirects=False) as response,
        ):
            _check_opt_out(response, options)
            if response.status in REDIRECTS and (location := response.headers.get("Location")):
                return _redirected(url, location)
            _check_status(response)
            return await _read(response, options.max_download_bytes)
    except Rejected:
        raise
    except aiohttp.ServerTimeoutError as error:
        detail = f"{host}: no byte for {options.timeout:g} s"
        raise Transient(SkipReason.DOWNLOAD_TIMEOUT, detail) from error
    except TimeoutError as error:
        detail = f"{host}: not done in {options.total_timeout:g} s"
        raise Transient(SkipReason.DOWNLOAD_TIMEOUT, detail) from error
    except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError, ValueError) as error:
        raise _explained(error, host) from error


def _redirected(url: "URL", location: str) -> "URL":
    from yarl import URL

    try:
        return parse_url(str(url.join(URL(location))))
    except (Rejected, ValueError) as error:  # told without what the server wrote, which may be long
        detail = f"{url.host}: redirects to no address of http or https"
        raise Rejected(SkipReason.DOWNLOAD_REFUSED, detail) from error


def _check_opt_out(response: "ClientResponse", options: DownloadOptions) -> None:
    if options.ignore_opt_out:
        return
    names = (ROBOT, options.user_agent_token.lower())
    if directive := opted_out(response.headers.getall("X-Robots-Tag", ()), names):
        raise Rejected(SkipReason.DOWNLOAD_OPT_OUT, f"X-Robots-Tag: {directive}")


def _check_status(response: "ClientResponse") -> None:
    status = response.status
    if status == 200:
        return
    name = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    detail = f"{response.url.host}: answered {status} {name}".rstrip()
    if status >= 500 or status in (408, 425, 429):
        raise Transient(SkipReason.DOWNLOAD_FAILED, detail, retry_after(response.headers.get("Retry-After")))
    raise Rejected(SkipReason.DOWNLOAD_FAILED, detail)


def retry_after(value: str | None) -> float | None:
    """Return the seconds that the header ``Retry-After`` asks to wait; None where it says nothing."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


async def _read(response: "ClientResponse", limit: int) -> bytes:
    """Return the body; what is beyond the limit, in bytes, is neither waited for nor unpacked."""
    if (response.content_length or 0) > limit:
        raise too_large(limit)
    chunks, size = [], 0
    async for chunk in response.content.iter_chunked(CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
    return _unpacked(b"".join(chunks), response, limit)


def _unpacked(body: bytes, response: "ClientResponse", limit: int) -> bytes:
    """Return the body without a compression that wasn't asked for; few servers add one."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    host = response.url.host
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Rejected(SkipReason.DOWNLOAD_FAILED, f"{host}: compressed, which it was asked not to do")
    try:
        data = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, limit + 1)
    except zlib.error as error:
        raise Rejected(SkipReason.DOWNLOAD_FAILED, f"{host}: its compression is damaged") from error
    if len(data) > limit:
        raise too_large(limit)
    return data


def too_large(limit: int) -> Rejected:
    """Return why a picture of more than so many bytes is not taken."""
    return Rejected(SkipReason.DOWNLOAD_TOO_LARGE, f"more than {limit} bytes")


def _explained(error: Exception, host: str | None) -> Rejected:
    """Return the reason of a failed request, in words that don't change from try to try."""
    import aiohttp

    if isinstance(getattr(error, "os_error", None), AddressRefusedError):
        return Rejected(SkipReason.DOWNLOAD_REFUSED, f"{host}: not a public address")
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Rejected(SkipReason.DOWNLOAD_FAILED, f"{host}: its TLS certificate or handshake is not valid")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Transient(SkipReason.DOWNLOAD_FAILED, f"{host}: the name leads nowhere")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Transient(SkipReason.DOWNLOAD_FAILED, f"{host}: connection refused")
    if isinstance(error, aiohttp.ClientPayloadError):
        return Transient(SkipReason.DOWNLOAD_FAILED, f"{host}: the answer was cut off")
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return Transient(SkipReason.DOWNLOAD_FAILED, f"{host}: the connection was cut")
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.http.HttpProcessingError):
        return Transient(SkipReason.DOWNLOAD_FAILED, f"{host}: its answer is not HTTP")
    return Rejected(SkipReason.DOWNLOAD_FAILED, f"{host}: can't be asked")
