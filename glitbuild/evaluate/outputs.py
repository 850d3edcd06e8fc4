"""The files that ``eval`` is to write: proved to be writable before the work, without a trace if they aren't."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from glitbuild.errors import ConfigError
from glitbuild.shards.output import check_writable


def check_outputs(paths: Sequence[str]) -> None:
    """See that all files can be written; of those that can't, no folder is left behind.

    Args:
        paths: local paths or fsspec URLs.

    Raises:
        ConfigError: one can't.
    """
    local = [Path(path).absolute() for path in paths if "://" not in path]
    missing = {folder for path in local for folder in path.parents if not folder.exists()}
    try:
        for path in paths:
            check_writable(path)
    except ConfigError:
        for folder in sorted(missing, key=lambda folder: len(folder.parts), reverse=True):
            with suppress(OSError):  # not made, or somebody else's by now
                folder.rmdir()
        raise
