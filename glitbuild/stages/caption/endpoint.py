"""Client of the API: one request per image, with the prompt and the image as a data URL."""

import base64
import hashlib
import os
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ConfigError, EndpointError
from glitbuild.images.jpeg import Jpeg
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.caption.options import CaptionOptions
from glitbuild.stages.caption.response import REASON_LENGTH, Answer, UnreadableError, read_answer

if TYPE_CHECKING:
    import openai


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's text, without surrounding whitespace."""

    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of its UTF-8 encoding, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_prompt(path: str | None) -> Prompt:
    """Read the prompt from a file, or the package's prompt if the path is None.

    Raises:
        ConfigError: the file can't be read, isn't UTF-8, or is empty.
    """
    file = files(__package__).joinpath("prompt.txt") if path is None else Path(path)
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--prompt {path}", why, "give a UTF-8 text file") from error
    if not text:
        raise ConfigError(f"--prompt {path}", "the file is empty", "write the instructions for the model into it")
    return Prompt(text)


QUALITY = 95


def data_url(jpeg: bytes, max_side: int) -> str:
    """Return an image as a data URL, with the stored bytes themselves if a model can read them as they are.

    The model sees the pixels as stored, as the detectors and CLIP do: if an image's EXIF or XMP data ask for a
    rotation, which some servers apply and others don't, these data are removed. Images with a side longer than
    ``max_side`` are downscaled and re-encoded, and other colour modes are converted to RGB.

    Raises:
        Rejected: the JPEG is damaged.
    """
    from PIL import Image

    try:
        stored = Jpeg(jpeg)
        image = stored.open()
        if max(image.size) <= max_side and image.mode in ("RGB", "L"):
            jpeg = stored.as_stored()
        else:
            image.draft("RGB", (max_side, max_side))  # decodes at the smallest scale that is still large enough
            picture = image.convert("RGB")
            picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
            picture.info = {}
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
            jpeg = buffer.getvalue()
    except Exception as error:  # a malicious file can make a decoder raise almost anything
        raise Rejected(SkipReason.IMAGE_CORRUPT, f"damaged JPEG: {error}") from error
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


HOPELESS = (401, 402, 404)
"""Statuses that every other request would get too: the key, the account, the URL or the model is wrong."""

GIVE_UP = 10
"""Number of consecutive failed requests after which the endpoint counts as down."""

CONNECT_SECONDS = 10.0
NO_KEY = "none"
"""Placeholder key: local servers need none, but the client does."""


def require_openai() -> None:
    """Check that the client is installed.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise ConfigError("caption", "openai is not installed", "pip install 'glitbuild[caption]'") from error


class Endpoint:
    """Requests captions, and detects when the endpoint is down.

    The client retries by itself after a status of 408, 409, 429 or 5xx, a broken connection, or a timeout. It
    waits as long as ``Retry-After`` says, otherwise half a second, doubled each time, up to 8 s.

    Args:
        options: options of the command.
        prompt: text of the prompt.
    """

    def __init__(self, options: CaptionOptions, prompt: str) -> None:
        import openai

        self._options, self._prompt = options, prompt
        self._key = os.environ.get("OPENAI_API_KEY") or NO_KEY
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=options.endpoint,
            max_retries=options.retries,
            timeout=openai.Timeout(options.timeout, connect=min(options.timeout, CONNECT_SECONDS)),
        )
        self._answered = False
        self._failed: list[str] = []

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, picture: str) -> Answer:
        """Return the model's answer for an image, given as a data URL.

        Raises:
            Rejected: there was no answer for this image after all retries.
            EndpointError: requests for other images would fail too.
        """
        import openai

        try:
            body = await self._request(picture)
            answer = read_answer(body, self._options.max_tokens)
        except (openai.OpenAIError, ValueError) as error:  # ValueError: not a chat completion
            raise self._failure(error) from error
        except UnreadableError as error:  # the endpoint responds, but this answer can't be read
            self._answered, self._failed = True, []
            raise Rejected(SkipReason.CAPTION_FAILED, self._reason(error)) from error
        self._answered, self._failed = True, []
        return answer

    def check_alive(self) -> None:
        """Raise an error if there have been only failures so far.

        Raises:
            EndpointError: no request has been answered, and at least one failed.
        """
        if self._failed and not self._answered:
            raise self._gone("no request was answered", self._failed[-1])

    async def _request(self, picture: str) -> bytes:
        options = self._options
        content: Any = [
            {"type": "text", "text": self._prompt},
            {"type": "image_url", "image_url": {"url": picture}},
        ]
        seed: dict[str, Any] = {} if options.seed is None else {"seed": options.seed}
        # The client's own models validate nothing, and fail in odd places if something has an unexpected type.
        response = await self._client.chat.completions.with_raw_response.create(
            model=options.model,
            messages=[{"role": "user", "content": content}],
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            **seed,
        )
        body: bytes = response.http_response.content
        return body

    def _failure(self, error: "openai.OpenAIError | ValueError") -> Rejected | EndpointError:
        reason = self._reason(error)
        self._failed.append(reason)
        if getattr(error, "status_code", None) in HOPELESS:
            return self._gone("every request would fail", reason)
        if len(self._failed) >= GIVE_UP:
            return self._gone(f"{GIVE_UP} requests in a row failed", reason)
        return Rejected(SkipReason.CAPTION_FAILED, reason)

    def _gone(self, what: str, reason: str) -> EndpointError:
        fix = "check the URL, the model and OPENAI_API_KEY, then run the same command again"
        return EndpointError(self._options.endpoint, f"{what}; last error: {reason}", fix)

    def _reason(self, error: Exception) -> str:
        """Return an error and its cause in one line, without the key, which some servers echo."""
        cause = str(error.__cause__ or "")
        text = " ".join(f"{error} {cause}".split())
        return text.replace(self._key, "***")[:REASON_LENGTH] if self._key != NO_KEY else text[:REASON_LENGTH]
