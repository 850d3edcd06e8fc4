"""Images of published benchmarks: files, or members of tars, decoded and embedded in batches."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glitbuild.batches import made_ahead
from glitbuild.clip.encoder import ClipEncoder
from glitbuild.engine.progress import Progress
from glitbuild.errors import DatasetError
from glitbuild.images.stored import decode_rgb
from glitbuild.stages.evaluate.metrics import SuiteReport

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
    """

    name: str
    path: Path
    offset: int = 0
    size: int | None = None

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


class Benchmark(Protocol):
    """A benchmark whose description has been read and checked."""

    @property
    def suite(self) -> str:
        """Name of the suite."""
        ...

    @property
    def texts(self) -> Sequence[str]:
        """Distinct texts to embed."""
        ...

    @property
    def images(self) -> Sequence[ImageFile]:
        """Distinct images to embed."""
        ...

    @property
    def described(self) -> str:
        """SHA-256 of everything that was read except the images, in hex."""
        ...

    def measure(self, texts: NDArray[np.float32], images: Iterator[NDArray[np.float32]]) -> SuiteReport:
        """Return the metrics.

        Args:
            texts: M x D, normalised embeddings of ``texts``.
            images: batches of the normalised embeddings of ``images``, B x D, in their order.
        """
        ...


class ImageStream:
    """Embeds images batch by batch; the pixels of two batches at most are in memory.

    Args:
        encoder: encoder of the model.
        images: images to embed.
        batch_size: number of images decoded at a time, while as many are decoded ahead.
        threads: number of decoding threads.
        progress: what counts the images.
    """

    def __init__(
        self, encoder: ClipEncoder, images: Sequence[ImageFile], batch_size: int, threads: int, progress: Progress
    ) -> None:
        self._encoder, self._images, self._size = encoder, images, batch_size
        self._threads, self._progress, self._hash = threads, progress, hashlib.sha256()

    def batches(self) -> Iterator[NDArray[np.float32]]:
        """Yield the embeddings of each batch, B x D.

        Raises:
            DatasetError: an image can't be read or decoded.
        """
        windows = [self._images[start : start + self._size] for start in range(0, len(self._images), self._size)]
        with ThreadPoolExecutor(self._threads) as pool:
            for window, views in made_ahead(windows, self._view, pool):
                for _, sha256 in views:
                    self._hash.update(sha256)
                yield np.stack(self._encoder.images([crop for crop, _ in views]))
                self._progress.advance(len(window))

    @property
    def sha256(self) -> str:
        """SHA-256 of the SHA-256s of the images so far, in hex."""
        return self._hash.hexdigest()

    def _view(self, image: ImageFile) -> tuple[NDArray[np.uint8], bytes]:
        data = image.read()
        try:
            pixels = decode_rgb(data)
        except OSError as error:
            raise DatasetError(image.name, str(error), AGAIN) from error
        whole = (0, 0, pixels.width, pixels.height)
        return self._encoder.preprocess.crop(pixels, whole), hashlib.sha256(data).digest()


def cosines(ones: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float32]:
    """Return the cosines of normalised embeddings, N x M: computed in float64, then rounded to float32.

    So equal vectors are equally similar, as in ``retrieval``.
    """
    found: NDArray[np.float32] = (ones.astype(np.float64) @ others.astype(np.float64).T).astype(np.float32)
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
