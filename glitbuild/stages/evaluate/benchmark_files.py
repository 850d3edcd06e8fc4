"""Files of published benchmarks: the images and texts that they name, and errors that say where one is damaged."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glitbuild.errors import DatasetError
from glitbuild.records import Box

AGAIN = "unpack or download the benchmark again"
"""What to do about a damaged file."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An encoded image: a whole file, or a part of an uncompressed tar.

    Attributes:
        name: what errors call it: the file, or the tar and the member; with the row that names it, if one does.
        path: file that holds it.
        offset: position of its first byte.
        size: its number of bytes; None for all until the end of the file.
        box: region to embed, xyxy in pixels of the image as it is stored; None for the whole image.
    """

    name: str
    path: Path
    offset: int = 0
    size: int | None = None
    box: Box | None = None

    def read(self) -> bytes:
        """Return the encoded image.

        Raises:
            DatasetError: the file can't be read, or ends too early.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise DatasetError(self.name, error.strerror or "it can't be read", AGAIN) from error
        if self.size is not None and len(data) < self.size:
            raise DatasetError(self.name, "the tar ends before the image does", AGAIN)
        return data


class Table:
    """Distinct texts and images, numbered in the order in which they are first named.

    Attributes:
        texts: number of each text.
        images: images by number.
    """

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.images: list[ImageFile] = []
        self._numbers: dict[tuple[Path, Box | None], int] = {}

    def text(self, text: str) -> int:
        """Return the number of a text."""
        return self.texts.setdefault(text, len(self.texts))

    def image(self, where: str, path: Path, fix: str, box: Box | None = None) -> int:
        """Return the number of an image, or of a region of it.

        Args:
            where: row that names it, for errors.
            path: its file.
            fix: what to do if there is no such file.
            box: the region, xyxy in pixels of the stored image; None for the whole image.

        Raises:
            DatasetError: there is no such file.
        """
        if (path, box) not in self._numbers:
            if not path.is_file():
                raise DatasetError(where, f"no such image: {path}", fix)
            self._numbers[path, box] = len(self.images)
            self.images.append(ImageFile(f"{where}, image {path.name}", path, box=box))
        return self._numbers[path, box]


def json_object(path: Path) -> Mapping[str, Any]:
    """Return a JSON file's object.

    Raises:
        DatasetError: the file can't be read, is damaged, or holds no object, or an empty one.
    """
    found = parsed(str(path), text_of(path))
    if not isinstance(found, dict) or not found:
        raise DatasetError(str(path), "not a JSON object with examples", AGAIN)
    return found


def parsed(where: str, text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        DatasetError: it is damaged.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(where, f"broken JSON: {error}", AGAIN) from error


def strings(where: str, row: Any, names: Sequence[str]) -> list[str]:
    """Return fields of a row that must be text.

    Raises:
        DatasetError: one is missing, empty or not text.
    """
    found = []
    for name in names:
        value = row.get(name) if isinstance(row, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise DatasetError(where, f"{name} is missing, or not text", AGAIN)
        found.append(value)
    return found


def digest(parts: Sequence[str]) -> str:
    """Return the SHA-256 of texts, each with its length, in hex."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass")
        found.update(len(data).to_bytes(8, "big") + data)
    return found.hexdigest()


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text file without the spaces around them; blank lines at its end are left out.

    Raises:
        DatasetError: the file can't be read, or isn't UTF-8.
    """
    return [line.strip() for line in text_of(path).rstrip().splitlines()]


def text_of(path: Path) -> str:
    """Return a file's text.

    Raises:
        DatasetError: the file can't be read, or isn't UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(str(path), error.strerror or "it can't be read", AGAIN) from error
    except UnicodeDecodeError as error:
        raise DatasetError(str(path), "it isn't UTF-8", AGAIN) from error
