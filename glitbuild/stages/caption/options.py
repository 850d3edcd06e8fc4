"""The options of ``glitbuild caption``: the same names on the command line and in a pipeline file."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from glitbuild.errors import ConfigError

MOST_REQUESTS = 1000
"""At a time: the client opens no more connections."""


@dataclass(frozen=True, slots=True)
class CaptionOptions:
    """Options of ``glitbuild caption``; see ``glitbuild caption --help``."""

    dir: str
    out: str
    endpoint: str
    model: str
    prompt: str | None = None
    max_side: int = 1024
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int | None = None
    concurrency: int = 16
    retries: int = 5
    timeout: float = 120.0
    overwrite: bool = False

    def __post_init__(self) -> None:
        _check_endpoint(self.endpoint)
        if not self.model:
            raise ConfigError("--model", "it is empty", "name a model of the endpoint")
        if not 0 < self.timeout < float("inf"):
            raise ConfigError(f"--timeout {self.timeout}", "not a time to wait", "give seconds, more than 0")
        for name, value, least, most in (
            ("--max-side", self.max_side, 32, None),
            ("--max-tokens", self.max_tokens, 1, None),
            ("--temperature", self.temperature, 0, 2),
            ("--concurrency", self.concurrency, 1, MOST_REQUESTS),
            ("--retries", self.retries, 0, None),
        ):
            if not (least <= value and (most is None or value <= most)):
                fix = f"give at least {least}" + (f" and at most {most}" if most is not None else "")
                raise ConfigError(f"{name} {value}", "out of range", fix)


def _check_endpoint(endpoint: str) -> None:
    try:
        url = urlsplit(endpoint)
        known = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError:
        known = False
    if not known:
        fix = "give the base URL of the API, such as http://localhost:8000/v1"
        raise ConfigError(f"--endpoint {endpoint}", "not an http or https address", fix)
    if url.username or url.password:  # or error messages would show them
        raise ConfigError("--endpoint", "it holds a name or a password", "put the key into OPENAI_API_KEY")
