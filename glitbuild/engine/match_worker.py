"""FLISM on one shard: decode, detect, crop, encode, match, write. A plain class; it knows nothing of Ray."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.clip.load import ClipSpec
from glitbuild.engine.batches import in_batches
from glitbuild.engine.task import ShardReport, ShardTask
from glitbuild.flism.boxes import pixels
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.matching import best_pairs, similarities
from glitbuild.flism.regions import candidate_regions
from glitbuild.records import Given, Matched, Region, Sample, Skip, SkipReason, Span
from glitbuild.shards.reader import read_shard
from glitbuild.shards.sidecar import Config
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard

if TYPE_CHECKING:
    from PIL.Image import Image

WINDOW = 32
"""Pictures decoded at a time, while as many are decoded ahead."""

WINDOW_PIXELS = 64 * 10**6
"""Pixels of a window's pictures together, unless it holds a single one: bounds memory, 3 bytes a pixel."""


@dataclass(frozen=True, slots=True)
class MatchPlan:
    """All a worker needs to know; small and picklable.

    Attributes:
        source: URL of the dataset to match.
        out: URL of the dataset to write.
        detector: the detector and its score threshold.
        clip: the CLIP model.
        min_area: smallest share of the image a detection may cover.
        max_area: largest.
        config: the options as the sidecars record them.
        device: ``cpu`` or ``cuda``.
        threads: for decoding and cropping beside the models.
        default_regions: whether quadrants and centre are candidates beside detections.
    """

    source: str
    out: str
    detector: DetectorSpec
    clip: ClipSpec
    min_area: float
    max_area: float
    config: Config
    device: str = "cpu"
    threads: int = 1
    default_regions: bool = True


class MatchWorker:
    """Finds regions, splits captions and pairs the two, a shard at a time.

    Batches are composed inside a shard, from its samples in order, so that a shard's bytes depend on
    its input alone and not on when or beside what it was made.

    Args:
        plan: models and options.

    Attributes:
        seconds: spent by stage since the last call of ``run``.

    Raises:
        ModelError: a model can't be had or can't be used.
    """

    def __init__(self, plan: MatchPlan) -> None:
        from glitbuild.clip.encode import ClipEncoder
        from glitbuild.flism.sentences import SentenceSplitter

        self._plan = plan
        self._source, self._out = Store(plan.source), Store(plan.out)
        self._splitter = SentenceSplitter()
        self._detector = plan.detector.load(plan.device)
        self._clip = ClipEncoder(plan.clip, plan.device)
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def run(self, task: ShardTask) -> ShardReport:
        """Match one shard and write the result; see ``Worker``."""
        self.seconds.clear()
        with self._timed("read"):
            samples = list(read_shard(self._source, task.shard, task.sha256))
        outcomes = self.match(samples)
        with self._timed("write"):
            origin = {"shard": task.shard, "sha256": task.sha256}
            sidecar = write_shard(self._out, task.shard, outcomes, self._plan.config, lambda: origin)
        skipped = sum(sidecar.skipped.values())
        return ShardReport(task.shard, sidecar.samples, skipped, dict(self.seconds))

    def match(self, samples: Sequence[tuple[Sample, bytes]]) -> list[Outcome]:
        """Return each sample with its sentences, regions and pairs, or the reason why it has none."""
        with self._timed("sentences"):
            spans = self._splitter.split([sample.caption for sample, _ in samples])
        texts = self._encode_sentences([sample.caption for sample, _ in samples], spans)
        outcomes: list[Outcome] = []
        for (sample, jpeg), sentences, embedded, found in zip(
            samples, spans, texts, self._regions(samples), strict=True
        ):
            if isinstance(found, Skip):
                outcomes.append(found)
                continue
            regions, crops = found
            pairs, best = best_pairs(similarities(np.stack(embedded), np.stack(crops)))
            matched = Matched(sentences, regions, pairs, best)
            outcomes.append((replace(sample, matched=matched), jpeg))
        return outcomes

    def _encode_sentences(
        self, captions: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[list[NDArray[Any]]]:
        """Return the embedding of each sentence of each caption."""
        sentences = [text[a:b] for text, of in zip(captions, spans, strict=True) for a, b in of]
        with self._timed("encode texts"):
            tokens = self._clip.tokenize(sentences)
            # Texts of like length share a batch, which is padded to its longest.
            order = sorted(range(len(tokens)), key=lambda index: (len(tokens[index].ids), index))
            found = in_batches(self._clip.encode_texts, [tokens[index] for index in order], self._clip.text_batch)
        embedded = dict(zip(order, found, strict=True))
        numbers = iter(range(len(sentences)))
        return [[embedded[next(numbers)] for _ in of] for of in spans]

    def _regions(
        self, samples: Sequence[tuple[Sample, bytes]]
    ) -> Iterator[tuple[tuple[Region, ...], list[NDArray[Any]]] | Skip]:
        """Yield each picture's candidate regions with the embeddings of their crops."""
        with ThreadPoolExecutor(self._plan.threads) as pool:
            windows = _windows(samples)
            decoding = [pool.submit(_decode, jpeg) for _, jpeg in windows[0]] if windows else []
            for number, window in enumerate(windows):
                with self._timed("decode"):
                    images = [future.result() for future in decoding]
                following = windows[number + 1] if number + 1 < len(windows) else []
                decoding = [pool.submit(_decode, jpeg) for _, jpeg in following]  # while the models compute
                whole = [image for image in images if not isinstance(image, str)]
                given = [
                    sample.boxes
                    for (sample, _), image in zip(window, images, strict=True)
                    if not isinstance(image, str)
                ]
                found = iter(self._detect_and_encode(whole, given, pool))
                for (sample, _), image in zip(window, images, strict=True):
                    if isinstance(image, str):
                        yield Skip(sample.key, sample.source, SkipReason.IMAGE_CORRUPT, image)
                    else:
                        yield next(found)

    def _detect_and_encode(
        self, images: "Sequence[Image]", given: Sequence[tuple[Given, ...] | None], pool: ThreadPoolExecutor
    ) -> list[tuple[tuple[Region, ...], list[NDArray[Any]]]]:
        plan = self._plan
        with self._timed("detect"):
            detections = in_batches(self._detector.detect, images, self._detector.batch_size)
        limits = (plan.min_area, plan.max_area, plan.default_regions)
        regions = [
            candidate_regions(found, image.width, image.height, *limits, boxes)
            for found, image, boxes in zip(detections, images, given, strict=True)
        ]
        with self._timed("crop"):
            jobs = [(image, region) for image, of in zip(images, regions, strict=True) for region in of]
            crops = list(pool.map(lambda job: self._crop(*job), jobs))
        with self._timed("encode crops"):
            embedded = iter(in_batches(self._clip.encode_images, crops, self._clip.image_batch))
        return [(of, [next(embedded) for _ in of]) for of in regions]

    def _crop(self, image: "Image", region: Region) -> NDArray[np.uint8]:
        return self._clip.preprocess.crop(image, pixels(region.box, image.width, image.height))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


def _windows(samples: Sequence[tuple[Sample, bytes]]) -> list[list[tuple[Sample, bytes]]]:
    """Cut a shard into windows that fit in memory once they are decoded."""
    windows: list[list[tuple[Sample, bytes]]] = []
    room = 0
    for sample, jpeg in samples:
        pixels_of = sample.image.width * sample.image.height
        if not windows or len(windows[-1]) == WINDOW or pixels_of > room:
            windows.append([])
            room = WINDOW_PIXELS
        windows[-1].append((sample, jpeg))
        room -= pixels_of
    return windows


def _decode(jpeg: bytes) -> "Image | str":
    """Return the picture in RGB, or the reason why it can't be decoded."""
    from glitbuild.ingest.images import open_rgb

    try:
        return open_rgb(jpeg)
    except OSError as error:
        return str(error)
