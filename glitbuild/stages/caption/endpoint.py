"""The API that the model is asked through, one request per image, and what is asked: prompt and image."""

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
    """A prompt's text, without the white space around it."""

    text: str

    @property
    def sha256(self) -> str:
        """SHA-256 of its UTF-8, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_prompt(path: str | None) -> Prompt:
    """Read the prompt from a file; None takes the package's.

    Raises:
        ConfigError: the file can't be read, isn't UTF-8, or has nothing in it.
    """
    file = files(__package__).joinpath("prompt.txt") if path is None else Path(path)
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"--prompt {path}", why, "give a UTF-8 text file") from error
    if not text:
        raise ConfigError(f"--prompt {path}", "it is empty", "write into it what the model is to do")
    return Prompt(text)


QUALITY = 95


def data_url(jpeg: bytes, max_side: int) -> str:
    """Return a picture as a data URL; the stored bytes themselves where a model can take them as they are.

    A model sees the pixels as stored, like the detectors and CLIP: of a picture whose EXIF or XMP data ask for a
    turn, which some servers would make and some not, these data stay behind. Those with a longer side than
    ``max_side`` are reduced and encoded anew, and other colours become RGB.

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
            image.draft("RGB", (max_side, max_side))  # decodes at the smallest scale that is still larger
            picture = image.convert("RGB")
            picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
            picture.info = {}
            buffer = BytesIO()
            picture.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
            jpeg = buffer.getvalue()
    except Exception as error:  # a hostile file can make a decoder raise almost anything
        raise Rejected(SkipReason.IMAGE_CORRUPT, f"damaged JPEG: {error}") from error
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


HOPELESS = (401, 402, 404)
"""Statuses that every other request would get too: the key, the account, the address or the model is wrong."""

GIVE_UP = 10
"""Requests that fail one after another, without an answer in between: the endpoint is gone."""

CONNECT_SECONDS = 10.0
NO_KEY = "none"
"""Local servers want no key, but the client does."""


def require_openai() -> None:
    """Refuse to start without the client.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise ConfigError("caption", "openai is missing", "pip install 'glitbuild[caption]'") from error


class Endpoint:
    """Asks for captions, and knows whether anybody is there.

    The client tries again by itself: after a status of 408, 409, 429 or 5xx, a connection that breaks, or no
    answer in time; it waits as long as ``Retry-After`` says, else half a second and then twice as long each time,
    8 s at most.

    Args:
        options: of the command.
        prompt: what to ask.
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
        """Close its connections."""
        await self._client.close()

    async def ask(self, picture: str) -> Answer:
        """Return the model's answer to a picture, given as a data URL.

        Raises:
            Rejected: there was none, after all retries.
            EndpointError: there won't be one to other pictures either.
        """
        import openai

        try:
            body = await self._request(picture)
            answer = read_answer(body, self._options.max_tokens)
        except (openai.OpenAIError, ValueError) as error:  # ValueError: not a chat completion
            raise self._failure(error) from error
        except UnreadableError as error:  # somebody is there, but this answer can't be read
            self._answered, self._failed = True, []
            raise Rejected(SkipReason.CAPTION_FAILED, self._reason(error)) from error
        self._answered, self._failed = True, []
        return answer

    def check_alive(self) -> None:
        """Refuse to go on where nothing but failures has been seen so far.

        Raises:
            EndpointError: no request has been answered, and some failed.
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
        # The client's own models check nothing, and fail in odd places on what isn't of the expected type.
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
            return self._gone(f"{GIVE_UP} requests failed one after another", reason)
        return Rejected(SkipReason.CAPTION_FAILED, reason)

    def _gone(self, what: str, reason: str) -> EndpointError:
        fix = "check the address, the model and OPENAI_API_KEY, and run the same command again"
        return EndpointError(self._options.endpoint, f"{what}; the last: {reason}", fix)

    def _reason(self, error: Exception) -> str:
        """Return an error in one line, with what caused it, and without the key that some servers repeat."""
        cause = str(error.__cause__ or "")
        text = " ".join(f"{error} {cause}".split())
        return text.replace(self._key, "***")[:REASON_LENGTH] if self._key != NO_KEY else text[:REASON_LENGTH]
