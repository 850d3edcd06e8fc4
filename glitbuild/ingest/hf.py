"""Hugging Face datasets: saved with ``save_to_disk``, or on the Hub and streamed from there."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.ingest.columns import Columns, find_columns, to_row
from glitbuild.ingest.files import read_file, why
from glitbuild.ingest.remote import AnyPath
from glitbuild.ingest.source import Rejected, Row, SourceOptions
from glitbuild.records import SkipReason

SAVED_FILES = ("state.json", "dataset_dict.json")
"""Either of them makes a folder one that ``save_to_disk`` wrote."""


def is_saved(path: AnyPath) -> bool:
    """Return whether ``datasets`` saved a dataset in this folder."""
    return any((path / name).is_file() for name in SAVED_FILES)


@dataclass(frozen=True, slots=True)
class _Split:
    name: str  # "" for a dataset that is not divided
    data: Any
    columns: Columns


class HuggingFaceSource:
    """A dataset of ``datasets``, with all its splits in their order or one of them.

    Args:
        spec: a folder, or a name on the Hub.
        name: what its rows give as their dataset.
        options: the columns and the split.

    Raises:
        SourceError: there is no such dataset, split or column, or the Hub can't be reached.
    """

    def __init__(self, spec: str, name: str, options: SourceOptions) -> None:
        self._name, self._root = name, Path(spec)
        self._splits = []
        for split, data in _pick(name, _open(spec), options.split).items():
            columns = _column_names(name, data)
            chosen = find_columns(f"{name}, split {split}" if split else name, columns, options)
            data = _undecoded(data, chosen.image).select_columns(chosen.used(columns))
            self._splits.append(_Split(split, data, chosen))

    @property
    def summary(self) -> str:
        """The dataset, its splits, and the columns chosen."""
        names = ", ".join(split.name for split in self._splits if split.name)
        splits = f"split {names}, " if names else ""
        return f"{self._name}: hf, {splits}{self._splits[0].columns}"

    def rows(self) -> Iterator[Row]:
        """Yield a row a row.

        Raises:
            SourceError: the dataset can't be read on, so that the rows after are unknown.
        """
        read_path = partial(_read_path, self._root)
        for split in self._splits:
            for number, record in enumerate(self._records(split)):
                row = to_row(record, split.columns, self._name, number, read_path)
                if split.name:
                    name = f"{split.name}/{row.source.id}"
                    source = replace(row.source, id=name, split=row.source.split or split.name)
                    row = replace(row, source=source)
                yield row

    def _records(self, split: _Split) -> Iterator[dict[str, Any]]:
        records = iter(split.data)
        number = 0
        while True:
            try:
                record = next(records)
            except StopIteration:
                return
            except Exception as error:  # whatever the network, the files or a loader of the Hub raise
                what = f"{self._name}, row {number} of {split.name or 'the dataset'}"
                raise SourceError(what, f"can't be read: {why(error)}", "run the command again") from error
            yield record
            number += 1


def _open(spec: str) -> Any:
    import datasets

    try:
        if is_saved(Path(spec)):
            return datasets.load_from_disk(spec)
        return datasets.load_dataset(spec, streaming=True)
    except Exception as error:  # some ten kinds, from OSError to the Hub's own
        reason = why(error)
        fix = "check the name, the network and HF_TOKEN; a gated dataset asks for its terms to be accepted"
        raise SourceError(spec, f"can't be opened as a Hugging Face dataset: {reason}", fix) from error


def _pick(name: str, opened: Any, split: str | None) -> dict[str, Any]:
    """Return the splits to read by name; an undivided dataset is the split ``""``."""
    if not isinstance(opened, dict):
        if split is not None and split != str(opened.split):
            raise SourceError(name, f'no split "{split}"; it is not divided into splits', "leave out --split")
        return {"": opened}
    if split is None:
        return dict(opened)
    if split not in opened:
        raise SourceError(name, f'no split "{split}"; its splits are: {", ".join(opened)}')
    return {split: opened[split]}


def _column_names(name: str, data: Any) -> list[str]:
    if data.column_names is not None:
        return list(data.column_names)
    try:  # a stream whose columns only its rows tell
        return list(next(iter(data.take(1)), {}))
    except Exception as error:
        raise SourceError(name, f"its first row can't be read: {why(error)}") from error


def _undecoded(data: Any, column: str) -> Any:
    """Return the dataset with the image as the bytes or the path it was made of."""
    import datasets

    kind = data.features[column] if data.features is not None else None
    raw = datasets.Image(decode=False)
    if isinstance(kind, datasets.Image):
        return data.cast_column(column, raw)
    if isinstance(kind, datasets.List | datasets.LargeList) and isinstance(kind.feature, datasets.Image):
        return data.cast_column(column, type(kind)(raw))
    return data


def _read_path(root: Path, written: str) -> bytes:
    # Rows of the Hub point to files there (hf://), or in archives there (zip://a.jpg::hf://...). Other
    # addresses are not followed here: a dataset must not make this machine ask just any other.
    if not written.rpartition("::")[2].startswith("hf://"):
        return read_file(root, written)
    import fsspec

    try:
        with fsspec.open(written, "rb") as file:
            data: bytes = file.read()
    except Exception as error:  # every protocol has errors of its own
        raise Rejected(SkipReason.IMAGE_MISSING, f"{written}: {why(error)}") from error
    return data
