"""FLISM on a batch: splits captions, finds regions, embeds both, and pairs each sentence with a region."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from glitbuild.batches import in_batches, made_ahead
from glitbuild.clip.encoder import ClipEncoder, choose_device
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.precision import AUTO, PRECISIONS, choose_precision
from glitbuild.errors import ConfigError, GlitbuildError
from glitbuild.flism.detectors.base import Detector
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.matching import best_pairs, similarities
from glitbuild.flism.regions import candidate_regions, check_area_limits, pixels
from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.options import Names, argument
from glitbuild.records import Given, Matched, MatchedPair, Region, Span

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = Image | str | PathLike[str]
    Texts = list[str] | tuple[str, ...]

WINDOW = 32
"""Number of images that are decoded at a time, while as many are decoded ahead."""

WINDOW_PIXELS = 64 * 10**6
"""Most pixels of a window in total, unless it holds a single image: bounds memory at 3 bytes per pixel."""

MAX_PIXELS = 100 * 10**6
"""Most pixels (width times height) of an image file."""

CLIP_NAMES = Names("clip", "clip", argument)


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """An image with its caption, not decoded yet.

    Attributes:
        caption: text that describes the image.
        width: width of the upright image in pixels.
        height: height of the upright image in pixels.
        open: function that returns the image in RGB, or raises OSError; may be called in another thread.
        given: annotated regions; None in a dataset without boxes.
    """

    caption: str
    width: int
    height: int
    open: "Callable[[], Image]"
    given: tuple[Given, ...] | None = None


@dataclass(frozen=True, slots=True)
class MatchedCaption:
    """Result of FLISM for an image and its caption; boxes are xyxy in pixels of the upright image.

    Attributes:
        caption: text that was split into sentences.
        regions: candidate regions of the image.
        pairs: each sentence with its most similar region, in the order of the caption.
        best: pair with the highest similarity, the image's local pair.
    """

    caption: str
    regions: tuple[Region, ...]
    pairs: tuple[MatchedPair, ...]
    best: MatchedPair

    @classmethod
    def of(cls, caption: str, matched: Matched) -> "MatchedCaption":
        """Resolve the indices of a record into objects."""
        pairs = tuple(matched.pair(caption, index) for index in range(len(matched.pairs)))
        return cls(caption, matched.regions, pairs, pairs[matched.best_pair])


class FLISM:
    """Fine-grained local image-sentence matching (FAST-GOAL, arXiv 2605.26615), with its models loaded.

    The candidate regions of an image are the four quadrants, the center box and the boxes of a detector. The
    caption is split into sentences. Each sentence is paired with the region whose CLIP embedding has the highest
    cosine similarity to its own; of these pairs, the one with the highest similarity is the image's local pair.

    Args:
        detector: ``none``, ``demo``, the name or file of an ultralytics model, or ``hf:`` followed by the name or
            folder of a transformers model; or a loaded ``Detector``.
        clip: architecture and weights, as in ``load_clip``; a single name for a model that comes with its own
            weights, such as ``demo`` or a run's folder; or an open_clip model in memory, in evaluation mode, with
            CLIP's own tokenizer.
        score: lowest score of a detection, from 0 to 1; None for the detector's default.
        min_area: smallest share of the image that a detection may cover, from 0 to 1.
        max_area: largest share of the image that a detection may cover, from 0 to 1.
        default_regions: whether quadrants and center are candidates even if there are detections.
        device: torch device, or ``auto`` for a GPU if there is one. A CLIP in memory stays on its device.
        threads: number of threads that decode and crop images while the models run.
        precision: number format in which CLIP computes: ``fp32``, ``bf16``, ``fp16``, or ``auto`` for the fastest
            on this machine (see ``choose_precision``); None for float16 on a GPU and float32 on a CPU, as is
            ``auto`` for a CLIP in memory.

    Raises:
        ModelError: a model is unavailable, or this kind of model is not supported.
        ConfigError: a limit is out of range, or there is no such device or precision.

    Example:
        >>> import glitbuild
        >>> from PIL import Image
        >>> flism = glitbuild.FLISM(detector="none", clip="demo")
        >>> matched = flism(Image.new("RGB", (64, 48), "green"), "A green lawn. A dog runs across it.")
        >>> [pair.text for pair in matched.pairs]
        ['A green lawn.', 'A dog runs across it.']
        >>> len(matched.regions), matched.pairs[0].region.kind, matched.best in matched.pairs
        (5, 'quadrant', True)
    """

    def __init__(
        self,
        detector: str | DetectorSpec | Detector = "yolov8n.pt",
        clip: "str | tuple[str, str] | ClipSpec | Any" = ("ViT-L-14-336", "openai"),
        *,
        score: float | None = None,
        min_area: float = 0.01,
        max_area: float = 0.8,
        default_regions: bool = True,
        device: str = "auto",
        threads: int = 1,
        precision: str | None = AUTO,
    ) -> None:
        check_area_limits(min_area, max_area)
        device = choose_device(device)
        if precision not in (None, *PRECISIONS):
            raise ConfigError(f"precision={precision!r}", "there is no such one", f"give one of {PRECISIONS}")
        if isinstance(detector, str):
            detector = DetectorSpec.parse(detector, score)
        if isinstance(clip, str | tuple):
            model, pretrained = (clip, None) if isinstance(clip, str) else clip
            clip = ClipSpec.parse(model, pretrained, names=CLIP_NAMES)
        on = device if isinstance(clip, ClipSpec) else str(next(clip.parameters()).device)
        self._limits = (min_area, max_area, default_regions)
        self._threads = threads
        self._splitter = SentenceSplitter()
        self._detector = detector.load(device) if isinstance(detector, DetectorSpec) else detector
        if precision == AUTO:
            precision = choose_precision(AUTO, on) if isinstance(clip, ClipSpec) else None
        self._clip = ClipEncoder(clip, on, precision=precision)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        """Seconds spent so far, by step."""

    @overload
    def __call__(self, image: "Picture", caption: str) -> MatchedCaption: ...
    @overload
    def __call__(
        self, image: "Sequence[Picture]", caption: list[str] | tuple[str, ...]
    ) -> list[MatchedCaption]: ...
    def __call__(
        self, image: "Picture | Sequence[Picture]", caption: "str | Texts"
    ) -> MatchedCaption | list[MatchedCaption]:
        """Match an image with its caption, or a list of images with theirs.

        Args:
            image: PIL image; or path of a file, which is read upright, as in ``ingest``; or a list of either.
            caption: text that describes the image, or a list with one text per image.

        Returns:
            The matched caption, or a list of them in the order of the images.

        Raises:
            ConfigError: the numbers of captions and images differ, a caption is empty, or an image in memory has
                an EXIF orientation other than upright.
            GlitbuildError: an image can't be read.
        """
        if isinstance(caption, str):
            return self._match_all([image], [caption])[0]
        if not isinstance(image, Sequence) or isinstance(image, str):
            raise ConfigError("image", "one image was given with several captions", "give one image per caption")
        return self._match_all(image, caption)

    def _match_all(self, images: "Sequence[Any]", captions: Sequence[str]) -> list[MatchedCaption]:
        if len(images) != len(captions):
            why = f"there are {len(images)} images and {len(captions)} captions"
            raise ConfigError("image and caption", why, "give one caption per image")
        for text in captions:
            if not text.strip():
                raise ConfigError(f"caption {text!r}", "it is empty", "give a text that describes the image")
        jobs = [_captioned(image, text) for image, text in zip(images, captions, strict=True)]
        matched = []
        for image, text, found in zip(images, captions, self.match(jobs), strict=True):
            if isinstance(found, OSError):
                raise GlitbuildError(str(image), str(found), "give another image") from found
            matched.append(MatchedCaption.of(text, found))
        return matched

    def match(self, jobs: Sequence[CaptionedImage]) -> list[Matched | OSError]:
        """Return the sentences, regions and pairs of each image as in a record, or the error from decoding it.

        Batches are composed of images and sentences in the given order, so that the result depends on the input
        alone. Images are decoded one window at a time.

        Args:
            jobs: images with captions that have at least one non-whitespace character.
        """
        with self.timed("sentences"):
            spans = self._splitter.split([job.caption for job in jobs])
        texts = self._encode_sentences([job.caption for job in jobs], spans)
        found: list[Matched | OSError] = []
        for sentences, embedded, regions in zip(spans, texts, self._regions(jobs), strict=True):
            if isinstance(regions, OSError):
                found.append(regions)
                continue
            candidates, crops = regions
            pairs, best = best_pairs(similarities(embedded, np.stack(crops)))
            found.append(Matched(sentences, candidates, pairs, best))
        return found

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the duration of the block to ``seconds``."""
        start = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - start

    def _encode_sentences(
        self, captions: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the sentence embeddings of each caption."""
        sentences = [text[a:b] for text, of in zip(captions, spans, strict=True) for a, b in of]
        with self.timed("encode texts"):
            embeddings = self._clip.texts(self._clip.tokenize(sentences))
        return iter(np.split(embeddings, np.cumsum([len(of) for of in spans])[:-1]) if spans else [])

    def _regions(
        self, jobs: Sequence[CaptionedImage]
    ) -> Iterator[tuple[tuple[Region, ...], list[NDArray[np.float32]]] | OSError]:
        """Yield each image's candidate regions with the embeddings of their crops."""
        with ThreadPoolExecutor(self._threads) as pool:
            windows = made_ahead(_windows(jobs), _opened, pool)
            while True:
                with self.timed("decode"):
                    window, images = next(windows, ((), []))
                if not images:
                    return
                pairs = zip(images, window, strict=True)
                opened = [(image, job) for image, job in pairs if not isinstance(image, OSError)]
                found = iter(self._detect_and_encode(opened, pool))
                for image in images:
                    yield image if isinstance(image, OSError) else next(found)

    def _detect_and_encode(
        self, opened: "Sequence[tuple[Image, CaptionedImage]]", pool: ThreadPoolExecutor
    ) -> list[tuple[tuple[Region, ...], list[NDArray[np.float32]]]]:
        with self.timed("detect"):
            images = [image for image, _ in opened]
            detections = in_batches(self._detector.detect, images, self._detector.batch_size)
        regions = [
            candidate_regions(found, image.width, image.height, *self._limits, job.given)
            for found, (image, job) in zip(detections, opened, strict=True)
        ]
        with self.timed("crop"):
            crops = [(image, region) for image, of in zip(images, regions, strict=True) for region in of]
            cut = list(pool.map(lambda crop: self._crop(*crop), crops))
        with self.timed("encode crops"):
            embedded = iter(self._clip.images(cut))
        return [(of, [next(embedded) for _ in of]) for of in regions]

    def _crop(self, image: "Image", region: Region) -> NDArray[np.uint8]:
        return self._clip.preprocess.crop(image, pixels(region.box, image.width, image.height))


def _windows(jobs: Sequence[CaptionedImage]) -> list[list[CaptionedImage]]:
    """Split a batch into windows that fit in memory once they are decoded."""
    windows: list[list[CaptionedImage]] = []
    room = 0
    for job in jobs:
        if not windows or len(windows[-1]) == WINDOW or job.width * job.height > room:
            windows.append([])
            room = WINDOW_PIXELS
        windows[-1].append(job)
        room -= job.width * job.height
    return windows


def _opened(job: CaptionedImage) -> "Image | OSError":
    try:
        return job.open()
    except OSError as error:
        return error


def _captioned(image: "Picture", caption: str) -> CaptionedImage:
    """Wrap an image that a program passed, in memory or as a file."""
    from PIL.ExifTags import Base
    from PIL.Image import Image

    from glitbuild.images.stored import open_rgb, store_image
    from glitbuild.records import Rejected

    if isinstance(image, Image):
        image.load()  # loading makes a TIFF upright
        if (orientation := image.getexif().get(Base.Orientation, 1)) in range(2, 9):
            why = f"with its EXIF orientation {orientation}, the coordinate frame of boxes would be ambiguous"
            raise ConfigError(str(image), why, "give PIL.ImageOps.exif_transpose(image)")
        return CaptionedImage(caption, image.width, image.height, partial(_rgb, image))
    path = Path(image)
    try:
        jpeg, info = store_image(path.read_bytes(), MAX_PIXELS)
    except OSError as error:
        raise GlitbuildError(str(path), error.strerror or str(error), "check the path") from error
    except Rejected as error:
        raise GlitbuildError(str(path), str(error), "give another image") from error
    return CaptionedImage(caption, info.width, info.height, partial(open_rgb, jpeg))


def _rgb(image: "Image") -> "Image":
    from glitbuild.images.stored import to_rgb
    from glitbuild.records import Rejected

    try:
        return to_rgb(image.copy())
    except Rejected as error:
        raise OSError(str(error)) from error
