"""A folder that appears whole, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glitbuild.errors import ConfigError, ExportError

WRITTEN = frozenset(
    {
        "config.json",
        "merges.txt",
        "model.safetensors",
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "preprocessor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    }
)
"""Every file that an export may consist of: a folder with any other is not replaced."""


def check_target(target: Path, source: Path | None, overwrite: bool) -> None:
    """See that a folder may be written.

    Args:
        target: resolved.
        source: the folder of what is exported, resolved; None where it is not in a folder.
        overwrite: an earlier export may be replaced.

    Raises:
        ConfigError: something else is there.
    """
    if source and target in (source, *source.parents):
        raise ConfigError(f"--to {target}", "this is where the source is", "give another folder")
    if not target.exists():
        return
    if not target.is_dir():
        raise ConfigError(f"--to {target}", "not a folder", "give another path")
    names = {path.name for path in target.iterdir()}
    if names and not overwrite:
        fix = "give another folder, or --overwrite where it is an earlier export"
        raise ConfigError(f"--to {target}", "not empty", fix)
    if others := sorted(names - WRITTEN):
        raise ConfigError(f"--to {target}", f"it holds {others[0]}, which no export wrote", "give another folder")


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a folder beside the target to write into; it gets the target's name when all went well.

    Whatever ends the writing before that, an interrupt too, leaves everything as it was. What an earlier process
    left beside the target when it was killed is removed.

    Args:
        target: absent, empty, or to be replaced.

    Raises:
        ConfigError: nothing can be written there.
        ExportError: the disk failed or is full.
    """
    made = [folder for folder in target.parents if not folder.exists()]  # the deepest is the first
    partial = target.with_name(f".{target.name}.part")
    try:
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"--to {target}", f"can't be written to ({error.strerror})", "check it") from error
        try:
            yield partial
            _replace(partial, target)
        except OSError as error:
            raise ExportError(str(target), f"writing failed ({error})", "see that the disk has room") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in made:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _replace(partial: Path, target: Path) -> None:
    if not (target.exists() and any(target.iterdir())):
        partial.rename(target)  # also over an empty folder
        return
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
