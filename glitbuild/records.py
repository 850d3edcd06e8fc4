"""The records that stages exchange: samples with their regions and pairs, and skipped rows.

The formats are defined by ``schemas/``; this module gives them Python types. JSON is written with its keys in the
order of the schema and without whitespace, so that equal records are equal bytes.
"""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

SCHEMA = "glit/2"
"""Version of the dataset format that is written."""

FIRST_SCHEMA = "glit/1"
"""Earlier version that can still be read: without KEY.txt, and with ``sizes.json`` next to the manifest."""

Span = tuple[int, int]
"""Range of characters ``[start, end)`` of a caption."""

Box = tuple[float, float, float, float]
"""Box as xyxy in pixels of the stored image; x points right, y down; the right and lower edges are exclusive."""

Kind = Literal["object", "quadrant", "center", "given"]
"""Kind of a region: ``given`` by the input, detected (``object``), or one of the default regions."""

Value = bool | int | float | str
"""Value of a kept column."""


class SkipReason(StrEnum):
    """Reason why an input row is not in the shards."""

    ROW_UNREADABLE = "row_unreadable"
    DUPLICATE_KEY = "duplicate_key"
    DOWNLOAD_FAILED = "download_failed"
    DOWNLOAD_TIMEOUT = "download_timeout"
    DOWNLOAD_TOO_LARGE = "download_too_large"
    DOWNLOAD_REFUSED = "download_refused"
    DOWNLOAD_OPT_OUT = "download_opt_out"
    IMAGE_MISSING = "image_missing"
    IMAGE_EMPTY = "image_empty"
    IMAGE_NOT_AN_IMAGE = "image_not_an_image"
    IMAGE_CORRUPT = "image_corrupt"
    IMAGE_ANIMATED = "image_animated"
    IMAGE_MODE = "image_mode"
    IMAGE_TOO_LARGE = "image_too_large"
    IMAGE_TOO_SMALL = "image_too_small"
    DUPLICATE_IMAGE = "duplicate_image"
    EXCLUDED_IMAGE = "excluded_image"
    CAPTION_MISSING = "caption_missing"
    CAPTION_EMPTY = "caption_empty"
    CAPTION_ENCODING = "caption_encoding"
    CAPTION_NUL = "caption_nul"
    CAPTION_TOO_LONG = "caption_too_long"
    CAPTION_FAILED = "caption_failed"
    CAPTION_REFUSED = "caption_refused"
    CAPTION_CUT = "caption_cut"
    CAPTION_REPEATED = "caption_repeated"
    CAPTION_MALFORMED = "caption_malformed"


class Rejected(Exception):  # noqa: N818 - a row is rejected, nothing went wrong in the program
    """A row can't become a sample and is recorded in ``skipped/`` instead.

    Args:
        reason: one of the closed list of reasons.
        detail: explanation for people; names files as the input does, never by their location on this machine,
            so that the same input gives the same output wherever it is.
    """

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Properties of the stored JPEG.

    Attributes:
        width: width of the stored, upright image in pixels.
        height: height of the stored, upright image in pixels.
        sha256: SHA-256 of the stored bytes, in hex.
        source_format: format of the input in lower case: ``jpeg``, ``png``, ``webp``, ...
        reencoded: false if the image data is that of the input's own JPEG, possibly rotated without loss.
    """

    width: int
    height: int
    sha256: str
    source_format: str
    reencoded: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Origin of a row; anything that the input does not provide is an empty string.

    Attributes:
        dataset: name of the dataset or of the input.
        id: name of the row in it.
        url: URL of the image on the web.
        license: license of image and caption.
        split: split of the dataset that the row belongs to, such as ``train``.
        origin: source of the image according to the dataset, such as ``coco/train2017``.
        extra: kept columns by name; the same names and types in every record of a dataset.
    """

    dataset: str
    id: str
    url: str = ""
    license: str = ""
    split: str = ""
    origin: str = ""
    extra: dict[str, Value] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Given:
    """An annotated box of the input, in pixels of the stored image; a missing label or sentence is ``""``."""

    box: Box
    label: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Captioned:
    """How a generated caption was made.

    Attributes:
        model: name of the model at the endpoint.
        prompt_sha256: SHA-256 of the prompt's text, in hex.
        time: time of the response in UTC, such as ``2026-05-31T12:00:00Z``.
    """

    model: str
    prompt_sha256: str
    time: str


@dataclass(frozen=True, slots=True)
class Region:
    """A candidate region; default regions have the label ``""`` and the score 0.0, given ones the score 1.0.

    ``sentence`` is the input's sentence about a given region, ``""`` for any other, and None in datasets without
    boxes.
    """

    box: Box
    kind: Kind
    label: str = ""
    score: float = 0.0
    sentence: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Indices of a sentence and of its best region, with their cosine similarity."""

    sentence: int
    region: int
    similarity: float


@dataclass(frozen=True, slots=True)
class MatchedPair:
    """A sentence with its region, as objects instead of a ``Pair``'s indices.

    Attributes:
        text: text of the sentence.
        span: range of its characters in the caption.
        region: candidate region that is most similar to the sentence.
        similarity: cosine similarity of sentence and region, from -1 to 1, rounded to five decimals.
    """

    text: str
    span: Span
    region: Region
    similarity: float

    @property
    def box(self) -> Box:
        """Box of the region: xyxy in pixels of the image."""
        return self.region.box


@dataclass(frozen=True, slots=True)
class Matched:
    """What ``match`` adds to a sample: sentences, regions, one pair per sentence, and the best pair's index."""

    sentences: tuple[Span, ...]
    regions: tuple[Region, ...]
    pairs: tuple[Pair, ...]
    best_pair: int

    def pair(self, caption: str, index: int) -> MatchedPair:
        """Return one of the pairs with its text and its region.

        Args:
            caption: text that the sentences are spans of.
            index: index of the pair.
        """
        pair = self.pairs[index]
        start, end = self.sentences[pair.sentence]
        return MatchedPair(caption[start:end], (start, end), self.regions[pair.region], pair.similarity)


@dataclass(frozen=True, slots=True)
class Sample:
    """An image with its caption, which is empty in a dataset without captions.

    ``matched`` is None before ``match``, ``captioned`` if no model wrote the caption, ``boxes`` in datasets without
    boxes. ``boxes_left_out`` counts the row's boxes that were omitted because they are empty or outside the image.
    """

    key: str
    caption: str
    image: ImageInfo
    source: Source
    matched: Matched | None = None
    captioned: Captioned | None = None
    boxes: tuple[Given, ...] | None = None
    boxes_left_out: int = 0

    @property
    def pairs(self) -> tuple[MatchedPair, ...]:
        """Pairs in the order of their sentences; empty before ``match``."""
        matched = self.matched
        return tuple(matched.pair(self.caption, index) for index in range(len(matched.pairs))) if matched else ()

    @property
    def best(self) -> MatchedPair:
        """Pair with the highest similarity.

        Raises:
            ValueError: the sample is not matched.
        """
        if self.matched is None:
            raise ValueError(f"sample {self.key} is not matched")
        return self.matched.pair(self.caption, self.matched.best_pair)

    def to_json(self) -> bytes:
        """Return the record as UTF-8 JSON.

        The boxes are nested as a JSON string, because ``datasets`` can't infer the type of a list that is empty in
        the first samples.
        """
        record = {"schema": SCHEMA} | asdict(self)
        matched, captioned, boxes, left_out = (
            record.pop(name) for name in ("matched", "captioned", "boxes", "boxes_left_out")
        )
        if not self.source.extra:
            del record["source"]["extra"]
        for region in matched["regions"] if matched else ():
            if region["sentence"] is None:
                del region["sentence"]
        if boxes is not None:
            record |= {"boxes": to_json(boxes).decode(), "boxes_left_out": left_out}
        return to_json(record | ({"captioned": captioned} if captioned else {}) | (matched or {}))

    @classmethod
    def from_json(cls, data: bytes) -> "Sample":
        """Read a record that conforms to ``schemas/sample.schema.json``.

        Raises:
            KeyError, TypeError, ValueError: the record does not conform to the schema.
        """
        record: dict[str, Any] = json.loads(data)
        matched = None
        if "pairs" in record:
            regions = [Region(**(region | {"box": tuple(region["box"])})) for region in record["regions"]]
            matched = Matched(
                sentences=tuple((start, end) for start, end in record["sentences"]),
                regions=tuple(regions),
                pairs=tuple(Pair(**pair) for pair in record["pairs"]),
                best_pair=record["best_pair"],
            )
        return cls(
            key=record["key"],
            caption=record["caption"],
            image=ImageInfo(**record["image"]),
            source=Source(**record["source"]),
            matched=matched,
            captioned=Captioned(**record["captioned"]) if "captioned" in record else None,
            boxes=_boxes(record["boxes"]) if "boxes" in record else None,
            boxes_left_out=record.get("boxes_left_out", 0),
        )


@dataclass(frozen=True, slots=True)
class Skip:
    """An input row that is not in the shards, and why."""

    key: str
    source: Source
    reason: SkipReason
    detail: str

    def to_json(self) -> bytes:
        """Return the row as one line of UTF-8 JSON, without a line break and without the kept columns."""
        row = asdict(self)
        del row["source"]["extra"]
        return to_json(row)

    @classmethod
    def from_json(cls, data: bytes) -> "Skip":
        """Read a row that conforms to ``schemas/skipped.schema.json``."""
        row = json.loads(data)
        return cls(row["key"], Source(**row["source"]), SkipReason(row["reason"]), row["detail"])


def _boxes(text: str) -> tuple[Given, ...]:
    boxes = []
    for entry in json.loads(text):
        if not isinstance(entry, dict) or "box" not in entry:
            raise ValueError("an entry of boxes has no box")
        x1, y1, x2, y2 = entry["box"]
        given = Given(**(entry | {"box": (float(x1), float(y1), float(x2), float(y2))}))
        if not (isinstance(given.label, str) and isinstance(given.sentence, str)):
            raise ValueError("the label or the sentence of a box is not a string")
        boxes.append(given)
    return tuple(boxes)


def writable(text: str) -> str:
    """Return text that can be encoded as UTF-8: lone surrogates, as in file names not in UTF-8, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_json(value: Any) -> bytes:
    """Return compact UTF-8 JSON; equal values give equal bytes.

    Raises:
        ValueError: a number is not finite, or a string contains a lone surrogate.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
