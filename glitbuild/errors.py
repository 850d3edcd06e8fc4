"""Errors a user can act on: each names the thing, the reason and what to do."""


class GlitbuildError(Exception):
    """Something failed for a reason the user can act on; the command line prints it as one line.

    Args:
        what: the thing that failed: a file, an option, a shard.
        why: the reason, as a clause without a full stop.
        fix: what to do about it, as a clause without a full stop.
    """

    exit_code = 1

    def __init__(self, what: str, why: str, fix: str = "") -> None:
        super().__init__(what, why, fix)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        """Return the error as one line, whatever line breaks its parts had."""
        line = f"{self.what}: {self.why}" + (f"; {self.fix}" if self.fix else "")
        return " ".join(line.split())


class ConfigError(GlitbuildError):
    """The command line or the configuration is wrong; raised before any work is done."""

    exit_code = 2


class SourceError(ConfigError):
    """An input of ``ingest`` is missing, of an unknown format, or lacks a column."""


class ModelError(ConfigError):
    """A detector or CLIP model is unknown, unreadable, or of a kind that can't be used."""


class OptionsChangedError(ConfigError):
    """A directory was begun with other options or another input than this command has."""


class StageError(GlitbuildError):
    """A stage of a pipeline can't begin, after others before it have written what they make."""


class DatasetError(GlitbuildError):
    """A dataset directory is missing, unfinished or damaged."""


class EndpointError(GlitbuildError):
    """The endpoint that writes captions is not there, or refuses every request."""


class TrainingError(GlitbuildError):
    """A training can't go on: its loss is not a number, or a process of it died."""


class ClusterError(GlitbuildError):
    """Ray could not be started, or is gone in the middle of a run; what was finished stays."""


class ShardFailedError(GlitbuildError):
    """Shards were given up after several tries; the others are done."""


class ExportError(GlitbuildError):
    """An exported model could not be written, or doesn't give what its source gives."""


class EvaluationError(GlitbuildError):
    """Embeddings can't be compared: some aren't finite, or captions and images don't fit together."""


class PushError(GlitbuildError):
    """The Hub could not be reached, refused something, or doesn't hold what was sent."""
