"""One writer at a time: a directory that a command writes is locked while it does."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glitbuild.errors import ConfigError
from glitbuild.shards.store import Store

LOCK = ".lock"
"""Lies in a directory while a command writes there; the kernel drops the lock with the process that holds it."""


@contextmanager
def writing(store: Store, option: str = "--out") -> Iterator[None]:
    """Keep a dataset directory for this command alone; see ``locked``.

    Object stores have no locks: there, only whether the directory can be written to is checked.

    Raises:
        ConfigError: it can't be written to, or another run is writing there.
    """
    if not store.is_local:
        store.check_writable()
        yield
        return
    with locked(Path(store.root), store.url, option):
        store.check_writable()
        yield


@contextmanager
def locked(folder: Path, name: str, option: str = "--out") -> Iterator[None]:
    """Keep a local directory for this process alone while the block runs.

    The directory is made if it is missing. If the block leaves it empty, because it failed before it wrote
    anything, every directory that was made for it is removed again.

    Args:
        folder: the directory.
        name: what the user calls it, for messages.
        option: the option that names it.

    Raises:
        ConfigError: it can't be written to, or another process holds it.
    """
    from filelock import FileLock, Timeout

    missing = [path for path in (folder, *folder.parents) if not path.exists()]  # the deepest first
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        fix = f"wait until it has ended, or choose another {option}"
        raise ConfigError(name, "another run is writing here", fix) from error
    except OSError as error:
        _remove_empty(missing)
        reason = error.strerror or str(error)
        raise ConfigError(name, f"can't be written to ({reason})", f"choose another {option}") from error
    try:
        yield
    finally:
        # Removed while it is held: a process that has opened it already sees that its name is gone.
        with suppress(OSError):
            (folder / LOCK).unlink()
        lock.release()
        _remove_empty(missing)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders as long as they are empty, the deepest first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
