"""Writing a shard: the tar with its samples, the pairs table, the skipped rows and, last, the sidecar."""

import io
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Any, cast

from glitbuild.records import Region, Sample, Skip, Source
from glitbuild.shards.layout import pairs_path, sidecar_path, skipped_path, tar_path, truth_path
from glitbuild.shards.sidecar import Config, Members, Sidecar, add_counts, count_sources, has_captions
from glitbuild.shards.store import HashingFile, Store

PREFIX = "extra_"
"""Prefix of kept columns in the pairs table, whose own columns may have the same names."""


def pair_rows(sample: Sample) -> Iterator[dict[str, Any]]:
    """Yield the pairs table's rows for a sample; none if it isn't matched."""
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
    """Return the pyarrow schema of the pairs table; coordinates are pixels of the stored image.

    Args:
        config: configuration of the dataset, which says whether there are boxes and the types of kept columns.
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
    """Read the rows of one shard's pairs table."""
    import pyarrow.parquet as pq

    # `read_table` would leave a thread that still holds the file when it returns; if Python exits at that moment,
    # the process aborts (arrow issues 33975 and 34314).
    with pq.ParquetFile(file, pre_buffer=False) as table:
        rows: list[dict[str, Any]] = table.read(use_threads=False).to_pylist()
    return rows


Outcome = tuple[Sample, bytes] | Skip
"""Result for one input row: a sample with its JPEG, or a skipped row."""

BUFFER = 1 << 20
"""Bytes of skipped rows that are buffered in memory."""


def write_shard(
    store: Store,
    shard: str,
    outcomes: Iterable[Outcome],
    config: Config,
    describe_input: Callable[[], dict[str, Any]],
    truth: Callable[[], bytes] | None = None,
) -> Sidecar:
    """Write a shard's files and, once all of them are in place, its sidecar.

    A finished shard of this name is replaced: it stays untouched until the new files are complete, and then its
    sidecar is removed first. A run that is stopped at any point therefore leaves either the old shard or one
    without a sidecar; if ``outcomes`` or ``describe_input`` raises, nothing has changed.

    Samples are streamed into the tar, and skipped rows, of which there may be any number, into their file. Only the
    positions and origins of samples and, in ``match``, the rows of the pairs table are kept in memory.

    Args:
        store: dataset directory.
        shard: name of the shard.
        outcomes: samples and skipped rows, in the order of the input.
        config: options that the dataset is made with; the stage ``match`` writes the pairs table.
        describe_input: function called when ``outcomes`` is exhausted; returns the input for the sidecar.
        truth: function called when ``outcomes`` is exhausted; returns the content of the shard's file in
            ``truth/``, for the stage ``scenes`` only.
    """
    rows: list[dict[str, Any]] = []
    sources: list[Source] = []
    totals = dict[str, int]()
    members: list[Members] = []
    with ExitStack() as staged:
        output = staged.enter_context(store.stage(tar_path(shard)))
        listed = staged.enter_context(store.stage(skipped_path(shard)))
        files = {tar_path(shard): output}
        skipped = _SkippedRows(listed)
        with _open_tar(cast(IO[bytes], output)) as tar:
            for outcome in outcomes:
                if isinstance(outcome, Skip):
                    skipped.add(outcome)
                    continue
                sample, jpeg = outcome
                members.append(_add_sample(tar, sample, jpeg, has_captions(config)))
                rows.extend(pair_rows(sample))
                totals = add_counts(totals, sample_counts(sample))
                sources.append(sample.source)
        if config["stage"] == "match":
            files[pairs_path(shard)] = table = staged.enter_context(store.stage(pairs_path(shard)))
            write_pairs(cast(IO[bytes], table), rows, config)
        if truth:
            files[truth_path(shard)] = described = staged.enter_context(store.stage(truth_path(shard)))
            described.write(truth())
        skipped.flush()
        files[skipped_path(shard)] = listed
        sidecar = Sidecar(
            shard=shard,
            samples=len(sources),
            skipped=dict(sorted(skipped.reasons.items())),
            files={name: file.stored for name, file in files.items()},
            config=config,
            input=describe_input(),
            totals=totals,
            sources=count_sources(sources),
            members=tuple(members),
        )
        for file in files.values():
            file.finish()
        store.remove(sidecar_path(shard))
        for file in files.values():
            file.commit()
    sidecar.write(store)
    return sidecar


class _SkippedRows:
    """Writer of a shard's file in ``skipped/``, which buffers only the latest lines."""

    def __init__(self, file: HashingFile) -> None:
        self._file, self._lines = file, bytearray()
        self.reasons = Counter[str]()

    def add(self, skip: Skip) -> None:
        """Add a row."""
        self.reasons[str(skip.reason)] += 1
        self._lines += skip.to_json() + b"\n"
        if len(self._lines) >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Write the buffered lines."""
        self._file.write(bytes(self._lines))
        self._lines.clear()


def _open_tar(output: IO[bytes]) -> tarfile.TarFile:
    # A stream ("w|") never seeks back, so every byte is hashed once and in order.
    return tarfile.open(fileobj=output, mode="w|", format=tarfile.USTAR_FORMAT)


def _add_sample(tar: tarfile.TarFile, sample: Sample, jpeg: bytes, has_caption: bool) -> Members:
    contents = {"jpg": jpeg, "json": sample.to_json()}
    if has_caption:
        contents["txt"] = sample.caption.encode()
    places: list[int] = []
    for extension, data in contents.items():
        info = tarfile.TarInfo(f"{sample.key}.{extension}")  # no times or owners: equal samples are equal bytes
        info.size = len(data)
        places += [tar.offset + tarfile.BLOCKSIZE, len(data)]  # a USTAR header is one block
        tar.addfile(info, io.BytesIO(data))
    return Members(sample.key, *places)


def sample_counts(sample: Sample) -> dict[str, int]:
    """Return what a sample adds to the totals: its boxes, and the counts of ``match``."""
    boxes = {} if sample.boxes is None else {"boxes": len(sample.boxes), "boxes_left_out": sample.boxes_left_out}
    if sample.matched is None:
        return boxes
    objects = sum(region.kind == "object" for region in sample.matched.regions)
    return boxes | {
        "objects": objects,
        "pairs": len(sample.matched.pairs),
        "regions": len(sample.matched.regions),
        "sentences": len(sample.matched.sentences),
    }
