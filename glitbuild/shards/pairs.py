"""The table of pairs: a row a sentence with its best region, for those who want pairs and no pixels."""

from collections.abc import Iterator, Sequence
from typing import IO, Any

from glitbuild.records import Region, Sample
from glitbuild.shards.sidecar import Config

PREFIX = "extra_"
"""Of kept columns, whose own names may be those of the table's."""


def pair_rows(sample: Sample) -> Iterator[dict[str, Any]]:
    """Yield the rows of a matched sample; none for one that isn't matched."""
    if sample.matched is None:
        return
    for index, (indices, pair) in enumerate(zip(sample.matched.pairs, sample.pairs, strict=True)):
        region, (x1, y1, x2, y2) = pair.region, pair.box
        yield {
            "key": sample.key,
            "sentence": indices.sentence,
            "text": pair.text,
            "region": indices.region,
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "kind": region.kind,
            "label": region.label,
            "score": region.score,
            "similarity": pair.similarity,
            "best": index == sample.matched.best_pair,
        } | _further(sample, region)


def _further(sample: Sample, region: Region) -> dict[str, Any]:
    sentence = {} if region.sentence is None else {"region_sentence": region.sentence}
    return sentence | {f"{PREFIX}{name}": value for name, value in sample.source.extra.items()}


def arrow_schema(config: Config) -> Any:
    """Return the table's pyarrow schema; coordinates are pixels of the stored image.

    Args:
        config: of the dataset: it says whether there are boxes, and the types of the columns that are kept.
    """
    import pyarrow as pa

    types = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "text": pa.string()}
    kept = [(f"{PREFIX}{name}", types[type]) for name, type in config.get("keep_columns", {}).items()]
    given = [("region_sentence", pa.string())] if "boxes_column" in config else []

    return pa.schema(
        [("key", pa.string()), ("sentence", pa.int32()), ("text", pa.string()), ("region", pa.int32())]
        + [(name, pa.float64()) for name in ("x1", "y1", "x2", "y2")]
        + [("kind", pa.string()), ("label", pa.string()), ("score", pa.float64())]
        + [("similarity", pa.float64()), ("best", pa.bool_())]
        + given
        + kept
    )


def write_pairs(file: IO[bytes], rows: Sequence[dict[str, Any]], config: Config) -> None:
    """Write rows as Parquet, with the columns of ``arrow_schema``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows), schema=arrow_schema(config)), file, compression="zstd")


def read_pairs(file: IO[bytes]) -> list[dict[str, Any]]:
    """Read the rows of one shard's table."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
    return rows
