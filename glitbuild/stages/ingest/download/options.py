"""What the command line says of downloading."""

import re
from dataclasses import dataclass

from glitbuild.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadOptions:
    """How pictures are downloaded. None of it decides what a finished dataset must hold.

    Attributes:
        connections: requests under way at a time.
        connections_per_host: of these, to one host.
        timeout: seconds without a byte, connecting included, after which a request has failed.
        total_timeout: seconds that a request may take in all.
        retries: how often a row is tried again where that may help.
        retry_wait: seconds before the first of these, doubled from one to the next.
        max_download_bytes: the largest picture, counted while it comes in.
        user_agent_token: a name of one's own, added to ``glitbuild/VERSION`` in every request.
        ignore_opt_out: take pictures also where the server's ``X-Robots-Tag`` asks not to.
        allow_private_hosts: ask hosts in private networks and this machine too.
    """

    connections: int = 64
    connections_per_host: int = 16
    timeout: float = 10.0
    total_timeout: float = 60.0
    retries: int = 2
    retry_wait: float = 1.0
    max_download_bytes: int = 32 << 20
    user_agent_token: str = ""
    ignore_opt_out: bool = False
    allow_private_hosts: bool = False

    def __post_init__(self) -> None:
        for name in ("connections", "connections_per_host", "max_download_bytes"):
            if getattr(self, name) < 1:
                raise _wrong(name, getattr(self, name), "too small", "give at least 1")
        for name in ("timeout", "total_timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                raise _wrong(name, getattr(self, name), "no time that passes", "give a number of seconds")
        if self.retries < 0 or not 0 <= self.retry_wait < float("inf"):
            raise _wrong("retries", self.retries, "too small", "give 0 or more, and 0 or more for --retry-wait")
        if not re.fullmatch(r"[\w.+:/@~-]*", self.user_agent_token, re.ASCII):
            raise _wrong("user_agent_token", self.user_agent_token, "no name for a header", "give one plain word")


def _wrong(name: str, value: object, why: str, fix: str) -> ConfigError:
    return ConfigError(f"--{name.replace('_', '-')} {value}", why, fix)
