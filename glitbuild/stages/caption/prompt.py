"""What the model is asked: the prompt that comes with the package, or a file's."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from glitbuild.errors import ConfigError


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
