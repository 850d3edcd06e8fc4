"""Files of weights that are pickles: which file it is, and what it may do while it is opened."""

import hashlib
import pickletools
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import UnpicklingError

from glitbuild.errors import ModelError
from glitbuild.weight_files import not_weights

TRUST = "--trust-detector"


def local_weights(weights: str, sha256: str | None = None) -> Path:
    """Return the file of weights, after ultralytics has downloaded it if it is one of its names.

    Args:
        weights: a file, or a name. What is downloaded is kept in torch's folder for weights: in the working
            folder, where ultralytics would put it, the next run would take it for another detector.
        sha256: that it must have, if it is known.

    Raises:
        ModelError: there is no such file and none can be downloaded.
    """
    path = Path(weights)
    if path.exists():
        return path
    import torch
    from ultralytics.utils import SETTINGS
    from ultralytics.utils.downloads import attempt_download_asset

    kept = Path(SETTINGS["weights_dir"], weights)
    if not kept.is_file():
        kept = Path(torch.hub.get_dir(), "checkpoints", "ultralytics", weights)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept = Path(attempt_download_asset(str(kept)))
    if not kept.is_file():
        fix = "give a file, or a name that ultralytics knows, such as yolov8n.pt"
        raise ModelError(f"--detector {weights}", "no such file, and it could not be downloaded", fix)
    return kept


@contextmanager
def opened_as(path: Path, sha256: str | None, trusted: bool) -> Iterator[Path]:
    """Yield a file to open in place of another, whose bytes are those that were checked.

    While the context lasts, ultralytics opens a pickle with torch's restricted unpickler, unless it is
    trusted. A ``.pt`` file is copied first, so that nobody changes it between the check and the opening.

    Raises:
        ModelError: it is not the file with that SHA-256, or this ultralytics can't open it restrictedly.
    """
    from ultralytics.nn import tasks

    data = path.read_bytes()
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"--detector {path}", f"its SHA-256 is not {sha256}", "give the file that was meant")
    if wrong := not_weights(path):
        raise ModelError(f"--detector {path}", *wrong)
    if path.suffix != ".pt":
        yield path
        return
    if not trusted and not (hasattr(tasks, "SAFE_LOAD") and tasks._SafeLoad.SUPPORTED):
        why = "the installed ultralytics can't open it without running what it holds"
        raise ModelError(f"--detector {path}", why, f"upgrade ultralytics, or give {TRUST}")
    with tempfile.TemporaryDirectory(prefix="glitbuild-") as folder:
        copy = Path(folder, path.name)
        copy.write_bytes(data)
        before, tasks.SAFE_LOAD = getattr(tasks, "SAFE_LOAD", False), not trusted
        try:
            yield copy
        finally:
            tasks.SAFE_LOAD = before


def refusal(error: BaseException, weights: str) -> ModelError | None:
    """Return what to say if a file was refused because it asks for code, out of what its loader raised."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, UnpicklingError):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return None
    data = Path(weights).read_bytes() if Path(weights).is_file() else b""
    if not (asked := _asked(str(seen)) or _first_global(data)):
        return None
    digest = f" (SHA-256 {hashlib.sha256(data).hexdigest()})" if data else ""
    why = f"this file{digest} runs code when it is opened: it asks for {asked}"
    fix = f"if you trust where it comes from, add {TRUST}, or --detector-sha256 with its SHA-256"
    return ModelError(f"--detector {weights}", why, fix)


def reason(error: Exception) -> str:
    """Return why a file can't be opened, without ultralytics' advice."""
    text = str(error) or type(error).__name__
    if "TorchScript archive" in text:
        return "a TorchScript archive, not a checkpoint of ultralytics"
    if isinstance(error, TypeError) and "ERROR" in text:
        return "not a checkpoint of ultralytics, or a damaged one"
    return text


def _first_global(data: bytes) -> str | None:
    """Return what a bare pickle imports first, other than of torch; None where the bytes are none."""
    strings: list[str] = []
    with suppress(ValueError, EOFError, IndexError, UnicodeDecodeError):
        for operation, argument, _ in pickletools.genops(data):
            name = str(argument).replace(" ", ".") if operation.name in ("GLOBAL", "INST") else None
            if operation.name == "STACK_GLOBAL":
                name = ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)
            if name and not name.startswith(("torch.", "collections.")):
                return name
    return None


def _asked(message: str) -> str | None:
    """Return what a pickle wants that it may not have, in the restricted unpickler's words."""
    if found := re.search(r"GLOBAL ([\w.]+)", message):
        return found[1]
    if found := re.search(r"reduce for unrecognized function ([^\n]+)|unsafe (getattr\([^)]*\))", message):
        return found[1] or found[2]
    if found := re.search(r"Can only (?:create new object|build|SETITEM)[^\n]*", message):
        return found[0]
    return None
