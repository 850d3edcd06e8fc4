"""Errors that a user can act on: each says what failed, why, and what to do about it."""

import re

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that control a terminal, or the direction or the breaks of its lines; but for tab and line feed."""


def visible(text: str) -> str:
    """Return a text that a terminal shows as it is: control characters are written as in Python's string literals.

    Names, captions, labels and messages of servers come from strangers. Unchanged, they could clear the screen, set
    the window's title, or show something else than what they say.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class GlitbuildError(Exception):
    """Something failed for a reason the user can act on; the command line prints it as one line.

    Args:
        what: what failed: a file, an option, a shard.
        why: the reason, as a clause without a full stop.
        fix: what to do about it, as a clause without a full stop.
    """

    exit_code = 1

    def __init__(self, what: str, why: str, fix: str = "") -> None:
        super().__init__(what, why, fix)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        """Return the error as a single line, with all line breaks removed."""
        line = f"{self.what}: {self.why}" + (f"; {self.fix}" if self.fix else "")
        return " ".join(line.split())


class ConfigError(GlitbuildError):
    """The command line or the configuration is wrong; raised before any work is done."""

    exit_code = 2


class SourceError(ConfigError):
    """An input of ``ingest`` is missing, of an unknown format, or lacks a column."""


class ModelError(ConfigError):
    """A detector or CLIP model is unknown, unreadable or unsupported."""


class OptionsChangedError(ConfigError):
    """A directory was started with options or an input that differ from those of this command."""


class StageError(GlitbuildError):
    """A stage of a pipeline can't start, although stages before it have already written their output."""


class DatasetError(GlitbuildError):
    """A dataset directory is missing, unfinished or damaged."""


class EndpointError(GlitbuildError):
    """The captioning endpoint is unreachable, or refuses every request."""


class TrainingError(GlitbuildError):
    """A training run can't continue: its loss is not finite, or one of its processes died."""


class ClusterError(GlitbuildError):
    """Ray could not be started, or died during a run; finished shards are kept."""


class ShardFailedError(GlitbuildError):
    """Some shards failed after several attempts; the others are finished."""


class ExportError(GlitbuildError):
    """An exported model could not be written, or its embeddings differ from those of its source."""


class EvaluationError(GlitbuildError):
    """Embeddings can't be compared: some aren't finite, or captions and images don't match up."""


class PushError(GlitbuildError):
    """The Hub is unreachable, refused an upload, or doesn't hold what was uploaded."""
