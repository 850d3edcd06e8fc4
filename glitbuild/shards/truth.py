"""The table of truth beside a shard of generated scenes: a row per sample, in the same order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glitbuild.records import Sample
from glitbuild.shards.schemas import parse


@dataclass(frozen=True, slots=True)
class Described:
    """What a row of truth must agree with: its sample's key, the length of its caption, its picture's size."""

    key: str
    length: int
    width: int
    height: int

    @classmethod
    def of(cls, sample: Sample) -> "Described":
        """Return it for a sample."""
        return cls(sample.key, len(sample.caption), sample.image.width, sample.image.height)


def truth_problems(data: bytes, samples: Sequence[Described]) -> Iterator[str]:
    """Yield what is wrong with the content of a file in ``truth/``."""
    lines = data.splitlines()
    if len(lines) != len(samples):
        yield f"{len(lines)} rows, but {len(samples)} samples"
        return
    for number, (line, sample) in enumerate(zip(lines, samples, strict=True), 1):
        try:
            row = parse("truth", line)
        except ValueError as error:
            yield f"line {number}: {error}"
            continue
        if row["key"] != sample.key:
            yield f"line {number}: it is about {row['key']}, the sample is {sample.key}"
        end = -1
        for start, stop in (sentence["span"] for sentence in row["sentences"]):
            if not end < start < stop <= sample.length:
                yield f"line {number}: span {start}-{stop} isn't in its place in the caption"
            end = stop
        boxes = [box for part in (*row["sentences"], row) for box in part.get("boxes", [])]
        for x1, y1, x2, y2 in [*boxes, *(thing["box"] for thing in row["objects"])]:
            if not (0 <= x1 < x2 <= sample.width and 0 <= y1 < y2 <= sample.height):
                yield f"line {number}: box {[x1, y1, x2, y2]} isn't in the picture"
        named = (i for sentence in row["sentences"] for i in sentence["objects"] + sentence["mentions"])
        if any(i >= len(row["objects"]) for i in (*named, row["focus"])):
            yield f"line {number}: it names an object that it doesn't have"
