"""The options of ``glitbuild export``."""

from dataclasses import dataclass

from glitbuild.errors import ConfigError
from glitbuild.records import writable

FORMATS = ("hf", "open_clip")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of ``glitbuild export``; see ``glitbuild export --help``.

    Raises:
        ConfigError: the format is unknown, or the target is a URL.
    """

    run: str
    to: str
    format: str
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(f"--format {self.format}", "unknown format", f"give one of {', '.join(FORMATS)}")
        if not self.to or "://" in self.to:
            fix = "give a folder on this machine; `glitbuild push` publishes it"
            raise ConfigError(f"--to {self.to}", "not a local folder", fix)
        if writable(self.to) != self.to:
            raise ConfigError(
                f"--to {self.to}", "its name is not UTF-8, as tokenizers needs", "choose another --to"
            )
