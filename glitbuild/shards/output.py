"""A single file that a command writes, on a local disk or anywhere fsspec reaches."""

import os

from glitbuild.errors import ConfigError
from glitbuild.shards.store import Store


def check_writable(path: str) -> None:
    """Prove before any work is done that a file can be written.

    Args:
        path: a local path or an fsspec URL.

    Raises:
        ConfigError: it can't.
    """
    store, name = _place(path)
    try:
        if os.path.isdir(path):  # noqa: PTH112 - a URL is no Path
            raise IsADirectoryError(0, "it is a folder")
        store.write(f".{name}.probe", b"")
        store.remove(f".{name}.probe")
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
