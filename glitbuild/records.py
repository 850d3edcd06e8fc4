"""The records every stage passes on: a sample, its regions and pairs, a skipped row.

The formats are fixed by ``schemas/``; this module only gives them types. JSON is written with the
keys in the order of the schema and without white space, so that equal records are equal bytes.
"""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

SCHEMA = "glit/2"
"""The version of the dataset format that is written."""

FIRST_SCHEMA = "glit/1"
"""An earlier version, which is still read: without KEY.txt, and with ``sizes.json`` beside the manifest."""

Span = tuple[int, int]
"""Characters ``[start, end)`` of a caption."""

Box = tuple[float, float, float, float]
"""A box as xyxy: pixels of the stored image, x right, y down, the right and lower edge exclusive."""

Kind = Literal["object", "quadrant", "center", "given"]
"""``given`` regions came with the input; the others were detected, or are the default ones."""

Value = bool | int | float | str
"""What a kept column holds."""


class SkipReason(StrEnum):
    """Why an input is not in the shards."""

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
    """A row can't become a sample; it becomes a row of ``skipped/``.

    Args:
        reason: one of the closed list of reasons.
        detail: what exactly, for people; names files as the input wrote them, never where they lie on
            this machine, so that the same input gives the same output wherever it is.
    """

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of the stored JPEG.

    Attributes:
        width: pixels of the stored image, which is upright.
        height: same as above.
        sha256: of the stored bytes, in hex.
        source_format: what the input was, in lower case: ``jpeg``, ``png``, ``webp``, ...
        reencoded: false where the picture data are those of the input's own JPEG, possibly turned without loss.
    """

    width: int
    height: int
    sha256: str
    source_format: str
    reencoded: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where a row came from; what the input did not say is an empty string.

    Attributes:
        dataset: the name of the dataset or of the input.
        id: the row's name in it.
        url: where the image is on the web.
        license: of picture and caption.
        split: the part of the dataset the row is in, such as ``train``.
        origin: what the dataset says the picture came from, such as ``coco/train2017``.
        extra: the kept columns by name; the same names and types in every record of a dataset.
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
    """A box that the input gave, in pixels of the stored image; ``""`` where it has no label or no sentence."""

    box: Box
    label: str = ""
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Captioned:
    """What wrote a caption.

    Attributes:
        model: its name at the endpoint.
        prompt_sha256: of the prompt's text, in hex.
        time: when the answer came, in UTC: ``2026-05-31T12:00:00Z``.
    """

    model: str
    prompt_sha256: str
    time: str


@dataclass(frozen=True, slots=True)
class Region:
    """A candidate region; default regions have the label ``""`` and the score 0.0, given ones the score 1.0.

    ``sentence`` is what the input says of a given region, ``""`` for any other, and None in datasets without boxes.
    """

    box: Box
    kind: Kind
    label: str = ""
    score: float = 0.0
    sentence: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence and its best region, both as indices, with their cosine similarity."""

    sentence: int
    region: int
    similarity: float


@dataclass(frozen=True, slots=True)
class MatchedPair:
    """A sentence with its region, as objects instead of a ``Pair``'s indices.

    Attributes:
        text: the sentence.
        span: its characters in the caption.
        region: the candidate region that is most similar to it.
        similarity: cosine similarity of the two, from -1 to 1, rounded to five decimals.
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
    """What ``match`` adds to a sample: one pair per sentence, and which of them is best."""

    sentences: tuple[Span, ...]
    regions: tuple[Region, ...]
    pairs: tuple[Pair, ...]
    best_pair: int

    def pair(self, caption: str, index: int) -> MatchedPair:
        """Return one of the pairs with its text and its region.

        Args:
            caption: text that the sentences are spans of.
            index: number of the pair.
        """
        pair = self.pairs[index]
        start, end = self.sentences[pair.sentence]
        return MatchedPair(caption[start:end], (start, end), self.regions[pair.region], pair.similarity)


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its caption, which is empty in a dataset of images alone.

    ``matched`` is None before ``match``, ``captioned`` where no model wrote the caption, ``boxes`` in datasets
    without boxes. ``boxes_left_out`` counts those of the row that were empty or outside of the picture.
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
        """Pairs in the order of their sentences; none before ``match``."""
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

        The boxes are a JSON text within it: ``datasets`` can't tell the type of lists that are empty in the first
        samples.
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
        """Read a record that fits ``schemas/sample.schema.json``.

        Raises:
            KeyError, TypeError, ValueError: the record does not fit the schema.
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
    """An input that is not in the shards, and why."""

    key: str
    source: Source
    reason: SkipReason
    detail: str

    def to_json(self) -> bytes:
        """Return the row as one line of UTF-8 JSON, without the line break and the kept columns."""
        row = asdict(self)
        del row["source"]["extra"]
        return to_json(row)

    @classmethod
    def from_json(cls, data: bytes) -> "Skip":
        """Read a row that fits ``schemas/skipped.schema.json``."""
        row = json.loads(data)
        return cls(row["key"], Source(**row["source"]), SkipReason(row["reason"]), row["detail"])


def _boxes(text: str) -> tuple[Given, ...]:
    boxes = []
    for entry in json.loads(text):
        if not isinstance(entry, dict) or "box" not in entry:
            raise ValueError("what should be a box is none")
        x1, y1, x2, y2 = entry["box"]
        given = Given(**(entry | {"box": (float(x1), float(y1), float(x2), float(y2))}))
        if not (isinstance(given.label, str) and isinstance(given.sentence, str)):
            raise ValueError("the label or the sentence of a box is no text")
        boxes.append(given)
    return tuple(boxes)


def writable(text: str) -> str:
    """Return text that is valid UTF-8: a lone surrogate, as of a file name that is not UTF-8, is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_json(value: Any) -> bytes:
    """Return compact UTF-8 JSON; equal values give equal bytes.

    Raises:
        ValueError: a number is not finite, or a string holds half of a surrogate pair.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
