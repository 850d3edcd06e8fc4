"""The table of pairs: a row a sentence with its best region, for those who want pairs and no pixels."""

from collections.abc import Iterator, Sequence
from typing import IO, Any

from glitbuild.records import Sample


def pair_rows(sample: Sample) -> Iterator[dict[str, Any]]:
    """Yield the rows of a matched sample; none for one that isn't matched."""
    if sample.matched is None:
        return
    for index, pair in enumerate(sample.matched.pairs):
        start, end = sample.matched.sentences[pair.sentence]
        region = sample.matched.regions[pair.region]
        x1, y1, x2, y2 = region.box
        yield {
            "key": sample.key,
            "sentence": pair.sentence,
            "text": sample.caption[start:end],
            "region": pair.region,
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "kind": region.kind,
            "label": region.label,
            "score": region.score,
            "similarity": pair.similarity,
            "best": index == sample.matched.best_pair,
        }


def arrow_schema() -> Any:
    """Return the table's pyarrow schema; coordinates are pixels of the stored image."""
    import pyarrow as pa

    return pa.schema(
        [("key", pa.string()), ("sentence", pa.int32()), ("text", pa.string()), ("region", pa.int32())]
        + [(name, pa.float64()) for name in ("x1", "y1", "x2", "y2")]
        + [("kind", pa.string()), ("label", pa.string()), ("score", pa.float64())]
        + [("similarity", pa.float64()), ("best", pa.bool_())]
    )


def write_pairs(file: IO[bytes], rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows), schema=arrow_schema()), file, compression="zstd")


def read_pairs(file: IO[bytes]) -> list[dict[str, Any]]:
    """Read the rows of one shard's table."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows
