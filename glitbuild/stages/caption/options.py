"""Options of ``glitbuild caption``."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from glitbuild.errors import ConfigError
from glitbuild.options import OUT, OVERWRITE, Content, Options, about

MOST_REQUESTS = 1000
"""Limit of --concurrency; the client doesn't open more connections than this."""


@dataclass(frozen=True, slots=True)
class CaptionOptions(Options):
    """Have a vision model write long captions for images that have none.

    DIR is a dataset directory that `glitbuild ingest --no-captions` finished; the endpoint is any
    OpenAI-compatible API with vision: vLLM, SGLang, Ollama, ... The API key is read from OPENAI_API_KEY.
    """

    dir: str = field(
        metadata=about(
            "Dataset directory that `ingest` made without captions.", argument=True, content=Content.DERIVED
        )
    )
    out: str = field(metadata=OUT)
    endpoint: str = field(metadata=about("Base URL of the API, such as http://localhost:8000/v1."))
    model: str = field(metadata=about("Name of the vision model at the endpoint.", content=Content.YES))
    prompt: str | None = field(
        default=None,
        metadata=about("Text file with the prompt.", absent="the package's prompt", content=Content.DERIVED),
    )
    max_side: int = field(
        default=1024,
        metadata=about("Maximum side of an image as it is sent, in pixels.", least=32, content=Content.YES),
    )
    max_tokens: int = field(
        default=512,
        metadata=about(
            "Maximum tokens per answer; an answer that reaches it is skipped.", least=1, content=Content.YES
        ),
    )
    temperature: float = field(
        default=0.0,
        metadata=about(
            "Sampling temperature; 0 always takes the most likely token.", least=0, most=2, content=Content.YES
        ),
    )
    seed: int | None = field(
        default=None, metadata=about("Sampling seed, for endpoints that accept one.", content=Content.IF_SET)
    )
    concurrency: int = field(
        default=16, metadata=about("Number of concurrent requests.", least=1, most=MOST_REQUESTS)
    )
    retries: int = field(default=5, metadata=about("Retries per failed request.", least=0))
    timeout: float = field(default=120.0, metadata=about("Timeout of a request in seconds.", above=0))
    overwrite: bool = field(default=False, metadata=OVERWRITE)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        _check_endpoint(self.endpoint)
        if not self.model:
            raise ConfigError("--model", "it is empty", "give the name of a model at the endpoint")


def _check_endpoint(endpoint: str) -> None:
    try:
        url = urlsplit(endpoint)
        known = url.scheme in ("http", "https") and bool(url.hostname)
    except ValueError:
        known = False
    if not known:
        fix = "give the base URL of the API, such as http://localhost:8000/v1"
        raise ConfigError(f"--endpoint {endpoint}", "not an http or https URL", fix)
    if url.username or url.password:  # error messages would show them
        raise ConfigError("--endpoint", "it contains a user name or a password", "put the key into OPENAI_API_KEY")
