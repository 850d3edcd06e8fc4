"""Embeds the images, texts and regions of one shard, each once. A plain class that doesn't depend on Ray."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glitbuild.batches import made_ahead
from glitbuild.clip.encoder import ClipEncoder
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.preprocess import Preprocess
from glitbuild.engine.runners import ReadTask
from glitbuild.errors import DatasetError, ModelError
from glitbuild.flism.regions import pixels
from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.options import blaming
from glitbuild.records import Box, Given, MatchedPair, Sample
from glitbuild.retrieval import average_sentences
from glitbuild.shards.layout import parse, truth_path
from glitbuild.shards.manifest import ShardEntry
from glitbuild.shards.reader import read_listed, read_shard
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.embedded import Embedded, Gathering
from glitbuild.stages.evaluate.localization import patch_centres, patches_in_boxes
from glitbuild.stages.evaluate.options import AVERAGING, TRUTH, Plan
from glitbuild.stages.evaluate.robustness import SplitCaption


class Place(NamedTuple):
    """A sentence and the boxes that it describes, xyxy in pixels of the stored image."""

    sentence: str
    boxes: tuple[Box, ...]


class TextTable:
    """Embeddings of a shard's texts; each distinct text is embedded once.

    Args:
        texts: texts in any order, with repetitions.
        encoder: encoder of the model.
    """

    def __init__(self, texts: Sequence[str], encoder: ClipEncoder) -> None:
        self._rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        self._tokens = encoder.tokenize(list(self._rows))
        self._embeddings = encoder.texts(self._tokens)

    def embeddings(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of some of the texts, M x D."""
        return self._embeddings[[self._rows[text] for text in texts]]

    def is_truncated(self, text: str) -> bool:
        """Return whether a text is too long for the model to read to the end."""
        return self._tokens[self._rows[text]].truncated


@dataclass(slots=True)
class Look:
    """An image of a shard and what is to be computed on it.

    Attributes:
        sample: first sample of the shard with this image.
        jpeg: JPEG bytes of the image.
        image: number of the image in the shard.
        boxes: regions whose crops are embedded, xyxy in pixels of the image.
        places: sentences to localize in the image.
        given: given boxes whose crops are embedded.
    """

    sample: Sample
    jpeg: bytes
    image: int
    boxes: list[Box] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)

    def views(self, preprocess: Preprocess) -> list[NDArray[np.uint8]]:
        """Return the model's input for the whole image, for each box, and for each given box.

        Raises:
            DatasetError: the image can't be decoded.
        """
        from glitbuild.images.stored import open_rgb

        try:
            image = open_rgb(self.jpeg)
        except OSError as error:
            raise DatasetError(
                f"image {self.sample.key}", str(error), "run `glitbuild validate` on the dataset"
            ) from error
        whole = (0, 0, image.width, image.height)
        marked = [*self.boxes, *(each.box for each in self.given)]
        boxes = [whole, *(pixels(box, image.width, image.height) for box in marked)]
        return [preprocess.crop(image, box) for box in boxes]


def places_of_truth(row: dict[str, Any], caption: str) -> list[Place]:
    """Return the true sentences about each object from a row of ``truth/``, with the object's boxes."""
    places = []
    for sentence in row["sentences"]:
        if sentence["about"] == "object" and sentence["true"]:
            start, end = sentence["span"]
            places.append(Place(caption[start:end], tuple(tuple(box) for box in sentence["boxes"])))
    return places


def places_of_pairs(sample: Sample) -> list[Place]:
    """Return the sentence of a matched sample's best pair, with the pair's region."""
    return [Place(sample.best.text, (sample.best.box,))]


def read_truth(store: Store, shard: str, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Return the rows of a shard's file in ``truth/``, one row per sample.

    Raises:
        DatasetError: the file is missing, doesn't match the sidecar, or describes other samples.
    """
    path = truth_path(shard)
    try:
        rows = [parse("truth", line) for line in read_listed(store, shard, path).splitlines()]
    except ValueError as error:
        raise _damaged(store, path, str(error)) from error
    if [row["key"] for row in rows] != [sample.key for sample in samples]:
        raise _damaged(store, path, "its rows do not match the samples of the shard in their order")
    return rows


def _damaged(store: Store, path: str, why: str) -> DatasetError:
    return DatasetError(store.path(path), why, "recreate the scenes with `glitbuild scenes --overwrite`")


def without_patches(encoder: ClipEncoder, plan: Plan) -> tuple[Plan, str]:
    """Return the plan without what needs patches, and why; the plan itself and "" if nothing is to be omitted.

    Raises:
        ModelError: the model has no patches, and a suite that the user named needs them.
    """
    if plan.places:
        try:
            encoder.patches  # noqa: B018
        except ModelError as error:
            if not plan.may_omit:
                raise
            return replace(plan, places=""), error.why
    return plan, ""


def embed_shard(
    encoder: ClipEncoder, plan: Plan, store: Store, entry: ShardEntry, batch_size: int, threads: int
) -> Embedded:
    """Return the embeddings of a shard that a plan needs; its images are numbered from 0.

    All JPEGs and texts of the shard are in memory at once. Samples whose images have the same bytes are captions
    of one image.

    Args:
        encoder: encoder of the model.
        plan: what to compute.
        store: dataset directory.
        entry: entry of the shard in the manifest.
        batch_size: number of images decoded at a time, while as many are decoded ahead.
        threads: number of decoding threads.

    Raises:
        DatasetError: the shard is damaged or doesn't match the manifest, or its truth doesn't.
    """
    shard = list(read_shard(store, entry.name, entry.sha256))
    if protocol := plan.protocol:
        shard = [
            (replace(sample, caption=protocol.read(sample.caption)), jpeg)
            for sample, jpeg in shard
            if protocol.takes(sample)
        ]
    plan, no_patches = without_patches(encoder, plan)
    collector = _Collector(encoder, plan, batch_size)
    found = collector.run(store, entry.name, shard, threads) if shard else Gathering().whole()
    return replace(found, context_length=encoder.context_length, no_patches=no_patches)


class _Collector:
    def __init__(self, encoder: ClipEncoder, plan: Plan, batch_size: int) -> None:
        self._encoder, self._plan, self._batch_size = encoder, plan, batch_size
        self._splitter = SentenceSplitter()
        self._found = Gathering()

    def run(self, store: Store, shard: str, found: Sequence[tuple[Sample, bytes]], threads: int) -> Embedded:
        samples = [sample for sample, _ in found]
        places = self._places(store, shard, samples)
        texts = self._texts(samples, places)
        with ThreadPoolExecutor(threads) as pool:
            self._images(self._looks(found, places), texts, pool)
        return self._found.whole()

    def _places(self, store: Store, shard: str, samples: Sequence[Sample]) -> list[list[Place]]:
        """Return the sentences to localize in the image of each sample."""
        if not self._plan.places:
            return [[] for _ in samples]
        if self._plan.places == TRUTH:
            rows = read_truth(store, shard, samples)
            return [places_of_truth(row, sample.caption) for row, sample in zip(rows, samples, strict=True)]
        return [places_of_pairs(sample) for sample in samples]

    def _texts(self, samples: Sequence[Sample], places: Sequence[Sequence[Place]]) -> TextTable:
        """Embed a shard's texts and store the embeddings of captions; return the table for the rest."""
        split = self._split(samples) if self._plan.needs_sentences else []
        averages = AVERAGING in self._plan.suites
        texts = [sample.caption for sample in samples]
        texts += [text for caption in split for text in caption.sentences()] if averages else []
        texts += [place.sentence for of in places for place in of]
        texts += [pair.text for sample in samples for pair in self._pairs(sample)]
        table, found = TextTable(texts, self._encoder), self._found
        captions = [sample.caption for sample in samples]
        found.captions.append(table.embeddings(captions))
        found.truncated += sum(table.is_truncated(caption) for caption in captions)
        found.split += split
        if averages and split:
            sentences = [caption.sentences() for caption in split]
            caption_of = np.repeat(np.arange(len(split)), [len(of) for of in sentences])
            flat = table.embeddings([text for of in sentences for text in of])
            found.averaged.append(average_sentences(flat, caption_of, len(split)))
        return table

    def _looks(
        self, shard: Sequence[tuple[Sample, bytes]], places: Sequence[Sequence[Place]]
    ) -> list[tuple[Look, list[str]]]:
        """Return the distinct images of a shard, with the sentences of their pairs."""
        looks: dict[str, tuple[Look, list[str]]] = {}
        for (sample, jpeg), of in zip(shard, places, strict=True):
            look, sentences = looks.setdefault(sample.image.sha256, (Look(sample, jpeg, len(looks)), []))
            look.places += of
            if self._plan.needs_boxes:
                look.given += [each for each in sample.boxes or () if each not in look.given]
            self._found.image_of.append(look.image)
            for pair in self._pairs(sample):
                sentences.append(pair.text)
                if pair.box not in look.boxes:
                    look.boxes.append(pair.box)
        self._found.pictures += looks
        return list(looks.values())

    def _images(self, looks: Sequence[tuple[Look, list[str]]], texts: TextTable, pool: ThreadPoolExecutor) -> None:
        found, encoder = self._found, self._encoder
        for look, sentences in looks:
            if sentences:
                found.sentences.append(texts.embeddings(sentences))
                found.sentence_image += [look.image] * len(sentences)
        pictures, size = [look for look, _ in looks], self._batch_size
        batches = [pictures[start : start + size] for start in range(0, len(pictures), size)]
        for batch, views in made_ahead(batches, lambda look: look.views(encoder.preprocess), pool):
            self._whole_images(batch, [of[0] for of in views], texts)
            counts = [len(look.boxes) + 1 for look in batch]
            found.crops += encoder.images(
                [crop for of, end in zip(views, counts, strict=True) for crop in of[1:end]]
            )
            found.given += encoder.images(
                [crop for of, end in zip(views, counts, strict=True) for crop in of[end:]]
            )
            found.given_image += [look.image for look in batch for _ in look.given]
            found.given_records += [each for look in batch for each in look.given]
            found.crop_image += [look.image for look in batch for _ in look.boxes]
            found.boxes += [box for look in batch for box in look.boxes]

    def _whole_images(self, looks: Sequence[Look], views: Sequence[NDArray[np.uint8]], texts: TextTable) -> None:
        if not self._plan.places:
            self._found.images += self._encoder.images(views)
            return
        for look, seen in zip(looks, self._encoder.images_with_patches(views), strict=True):
            self._found.images.append(seen.image)
            if look.places:
                centres = self._patch_centres(look)
                inside = np.stack([patches_in_boxes(centres, place.boxes) for place in look.places])
                sentences = texts.embeddings([place.sentence for place in look.places])
                self._found.look_for(sentences, seen.patches, inside)

    def _patch_centres(self, look: Look) -> NDArray[np.float64]:
        encoder, image = self._encoder, look.sample.image
        return patch_centres(encoder.preprocess.visible(image.width, image.height), encoder.patches.grid)

    def _split(self, samples: Sequence[Sample]) -> list[SplitCaption]:
        """Return captions with the sentences of their records; captions without any are split now."""
        plain = [sample.caption for sample in samples if sample.matched is None]
        spans = iter(self._splitter.split(plain))
        return [
            SplitCaption(sample.caption, sample.matched.sentences if sample.matched else next(spans))
            for sample in samples
        ]

    def _pairs(self, sample: Sample) -> Sequence[MatchedPair]:
        """Return the pairs of a sample that the joint suite uses."""
        if not self._plan.pairs or sample.matched is None:
            return ()
        return (sample.best,) if self._plan.pairs == "best" else sample.pairs


@dataclass(frozen=True, slots=True)
class TextTask:
    """Texts to embed; ``shard`` is their name in messages."""

    shard: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """Everything a worker needs to know; small and picklable.

    Attributes:
        source: URL of the dataset.
        spec: model to load.
        plan: what to compute on a shard.
        context_length: number of tokens to read per text; None for the model's own, or ``at_least``.
        at_least: number of tokens to read if the model can be stretched to it; None for its own.
        batch_size: number of images or texts per batch.
        device: ``cpu`` or ``cuda``.
        threads: number of threads that decode while the model runs.
    """

    source: str
    spec: ClipSpec
    plan: Plan
    context_length: int | None
    at_least: int | None
    batch_size: int
    device: str
    threads: int


class EvalWorker:
    """Embeds shards and texts.

    Raises:
        ModelError: the model is unavailable, or its kind is not supported.
    """

    def __init__(self, plan: EvalPlan) -> None:
        self._plan, self._store = plan, Store(plan.source)
        size = plan.batch_size
        self._encoder = ClipEncoder(
            plan.spec,
            plan.device,
            image_batch=size,
            text_batch=size,
            context_length=plan.context_length,
            at_least=plan.at_least,
        )
        with blaming(plan.spec.shown):
            without_patches(self._encoder, plan.plan)

    def run(self, task: ReadTask | TextTask) -> tuple[str, Embedded | NDArray[Any]]:
        """Return the task's name with the embeddings: of a shard, or M x D of M texts."""
        if isinstance(task, TextTask):
            return task.shard, self._encoder.texts(self._encoder.tokenize(task.texts))
        plan = self._plan
        return task.shard, embed_shard(
            self._encoder, plan.plan, self._store, task.entry, plan.batch_size, plan.threads
        )
