"""The embedded demo models, whose files are verified before use."""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

from glitbuild.errors import ModelError

FOLDER = Path(str(files("glitbuild.demo_models")))

CHECKSUMS = "checksums.json"
"""File with the name and SHA-256 of every other file; written by ``make demo-models``."""


def embedded_file(name: str, folder: Path = FOLDER) -> Path:
    """Return the path of an embedded file.

    Args:
        name: name of the file, such as ``clip.safetensors``.
        folder: folder with the files.

    Raises:
        ModelError: the file is missing, or doesn't match its checksum.
    """
    expected = checksum(name, folder)
    path = folder / name
    fix = "install glitbuild again, or make the models with `make demo-models`"
    if not path.is_file():
        raise ModelError(str(path), f"the embedded file is missing (expected sha256 {expected})", fix)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise ModelError(str(path), f"the embedded file has sha256 {found}, expected {expected}", fix)
    return path


def checksum(name: str, folder: Path = FOLDER) -> str:
    """Return the SHA-256 that an embedded file must have.

    Raises:
        ModelError: the list of checksums is missing or doesn't contain the file.
    """
    try:
        return str(json.loads((folder / CHECKSUMS).read_text())[name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "install glitbuild again, or make the models with `make demo-models`"
        raise ModelError(str(folder / CHECKSUMS), f"it contains no readable checksum of {name}", fix) from error


def write_checksums(names: list[str], folder: Path = FOLDER) -> None:
    """Add files that were just made to the list of checksums."""
    path = folder / CHECKSUMS
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
