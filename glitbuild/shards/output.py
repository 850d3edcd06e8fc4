"""A single file that a command writes, on a local disk or anywhere fsspec reaches."""

import os
from collections.abc import Iterable

from glitbuild.errors import ConfigError
from glitbuild.shards.overlap import refuse_read_file
from glitbuild.shards.store import Store


def check_writable(
    path: str, datasets: Iterable[str] = (), files: Iterable[str] = (), option: str = "--out"
) -> None:
    """Prove before any work is done that a file can be written; nothing of the proof remains.

    Args:
        path: a local path or an fsspec URL.
        datasets: dataset directories that are about to be read; the file must not be one of theirs.
        files: others that are about to be read; the file must be none of them.
        option: the option that names the file.

    Raises:
        ConfigError: it can't.
    """
    store, name = _place(path)
    refuse_read_file(datasets, files, path, option)
    try:
        if os.path.isdir(path):  # noqa: PTH112 - a URL is no Path
            raise IsADirectoryError(0, "it is a folder")
        store.probe(f".{name}.probe")
    except Exception as error:  # of any file system
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ConfigError(path, f"can't be written to ({reason})", "choose another file") from error


def write_file(path: str, data: bytes) -> None:
    """Write a file that appears when it is whole."""
    store, name = _place(path)
    store.write(name, data)


def _place(path: str) -> tuple[Store, str]:
    folder, _, name = path.rpartition("/")
    return Store(folder or ("/" if path.startswith("/") else ".")), name
