"""Images of published benchmarks, decoded and embedded in batches, and what compares their embeddings."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from glitbuild.batches import made_ahead
from glitbuild.clip.encoder import ClipEncoder
from glitbuild.engine.progress import Progress
from glitbuild.errors import DatasetError
from glitbuild.flism.regions import area, clamp, pixels
from glitbuild.images.stored import decode_rgb
from glitbuild.retrieval import check_embeddings
from glitbuild.stages.evaluate.benchmark_files import AGAIN, ImageFile
from glitbuild.stages.evaluate.metrics import SuiteReport


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
            decoded = decode_rgb(data)
        except OSError as error:
            raise DatasetError(image.name, str(error), AGAIN) from error
        width, height = decoded.size
        box = clamp(image.box or (0.0, 0.0, float(width), float(height)), width, height)
        if area(box) == 0:
            why = f"the box {image.box} is outside of its {width} x {height} pixels"
            raise DatasetError(image.name, why, AGAIN)
        crop = self._encoder.preprocess.crop(decoded, pixels(box, width, height))
        return crop, hashlib.sha256(data).digest()


def cosines(ones: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float32]:
    """Return the cosines of normalised embeddings, N x M: computed in float64, then rounded to float32.

    So equal vectors are equally similar, as in ``retrieval``.
    """
    found: NDArray[np.float32] = (ones.astype(np.float64) @ others.astype(np.float64).T).astype(np.float32)
    return found


def paired_cosines(ones: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float32]:
    """Return the cosine of each pair of normalised embeddings, N: computed in float64, then rounded to float32."""
    found: NDArray[np.float32] = np.einsum("nd,nd->n", ones, others, dtype=np.float64).astype(np.float32)
    return found


def checked(texts: NDArray[np.float32], images: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the embeddings of all images, N x D, once they and the texts are known to be comparable.

    Raises:
        EvaluationError: embeddings are not finite.
    """
    check_embeddings("text embeddings", texts)
    seen = np.concatenate(list(images))
    check_embeddings("image embeddings", seen)
    return seen
