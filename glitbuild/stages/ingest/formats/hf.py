"""Hugging Face datasets: saved with ``save_to_disk``, or on the Hub and streamed from there."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, writable
from glitbuild.stages.ingest.columns import Columns, find_columns, to_row
from glitbuild.stages.ingest.files import read_file, why
from glitbuild.stages.ingest.formats.parquet import holds_bytes, nested_columns, with_feature_classes
from glitbuild.stages.ingest.remote import AnyPath, check_content
from glitbuild.stages.ingest.source import Cut, Row, RowSource, SourceOptions, cut_at, digest_text

CARDS = ("README.md", ".huggingface.yaml")
OF_HUB = "hf://datasets/"


def check_card(spec: str) -> None:
    """Refuse a folder, perhaps one downloaded from the Hub, whose card names files elsewhere than in it.

    Raises:
        SourceError: names the address.
    """
    for card in CARDS:
        path = Path(spec, card)
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for address in _addresses(_front_matter(text, card)):
            why = f"its {card} names files at {address}, which is not part of it"
            raise SourceError(spec, why, "download them, and give them as files")


def _front_matter(text: str, card: str) -> Any:
    import yaml

    found = re.match(r"\s*---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    try:
        return yaml.safe_load(found.group(1) if found else "" if card.endswith(".md") else text)
    except yaml.YAMLError:
        return None


def _addresses(content: Any) -> Iterator[str]:
    """Yield the addresses among the files and folders of the card's configurations."""
    configs = content.get("configs") if isinstance(content, dict) else None
    for config in configs if isinstance(configs, list) else ():
        if isinstance(config, dict):
            places = [*_texts(config.get("data_files")), *_texts(config.get("data_dir"))]
            yield from (place for place in places if "://" in place and not _is_of_hub(place))


def _is_of_hub(place: str) -> bool:
    return place.startswith(OF_HUB) and "::" not in place


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


STATE, SPLITS = "state.json", "dataset_dict.json"
INFO = "dataset_info.json"
AGAIN = "copy the folder again, or load the dataset and save it again"


def is_saved(path: AnyPath) -> bool:
    """Return whether ``datasets`` saved a dataset in this folder."""
    return any((path / name).is_file() for name in (STATE, SPLITS))


def load_saved(name: str, path: Path, split: str | None = None) -> Any:
    """Return a saved dataset, or a dict of its splits, None for a split without rows.

    Args:
        name: of the dataset, for errors.
        path: of its folder.
        split: to be loaded alone, where there is such a one; None loads all.

    Raises:
        SourceError: it has no rows, something is missing, or a file is not what it should be.
    """
    if (path / STATE).is_file():
        if (data := _load(name, path)) is None:
            raise SourceError(name, "the saved dataset is empty: it has no rows", "give one that has some")
        return data
    splits = _object(name, path / SPLITS).get("splits")
    if not isinstance(splits, list) or not splits:
        raise SourceError(name, f"the saved dataset is empty: its {SPLITS} names no splits", AGAIN)
    names = [split] if split is not None and split in splits else [str(other) for other in splits]
    loaded = {part: _load(f"{name}/{part}", path / part) for part in names}
    if len(loaded) > 1 and all(data is None for data in loaded.values()):
        raise SourceError(name, f"the saved dataset is empty: no rows in {', '.join(loaded)}", "give one with rows")
    return loaded


def _load(name: str, path: Path) -> Any:
    import datasets

    if not (path / STATE).is_file():
        raise SourceError(name, f"no {STATE} in it, though {SPLITS} names this split", AGAIN)
    files = [entry.get("filename") for entry in _object(name, path / STATE).get("_data_files") or ()]
    for file in files:
        if not (path / str(file)).is_file():
            raise SourceError(name, f"no {file} in it, though {STATE} names it", AGAIN)
        check_content(path / str(file), "")
    if not files:
        return None
    if writable(str(path)) == str(path):
        return datasets.Dataset.load_from_disk(str(path))
    with TemporaryDirectory() as folder:  # a name that is not UTF-8 Arrow can't open; the files then stay open
        link = Path(folder, "dataset")
        link.symlink_to(path.absolute(), target_is_directory=True)
        return datasets.Dataset.load_from_disk(str(link))


def _object(name: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}, not an object")
    except ValueError as error:
        raise SourceError(name, f"its {path.name} can't be read: {error}", AGAIN) from error
    return content


BATCH_ROWS = 16
"""Rows in memory at a time."""

ARCHIVES = tuple(f"{name}://" for name in ("zip", "tar", "gzip", "bz2", "xz", "zstd", "lz4"))
"""Protocols that look into a file, and ask no address of their own."""
HUB = "hf://datasets/"


@dataclass(frozen=True, slots=True)
class _Split:
    name: str  # "" for a dataset that is not divided
    data: Any
    columns: Columns

    @property
    def is_saved(self) -> bool:
        """Whether any row of it can be read without the ones before."""
        import datasets

        return isinstance(self.data, datasets.Dataset)


class HuggingFaceSource(RowSource):
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
        # What is on the Hub must not name files of this machine; what is on it may, as any table may.
        self._read_path = partial(read_file, self._root) if self._root.exists() else _read_from_hub
        self._splits, self._empty = [], []
        for split, data in _pick(name, _open(spec, name, options.split), options.split).items():
            if data is None:
                self._empty.append(split)
                continue
            data = _undecoded(data)
            columns = _column_names(name, data)
            what, features = f"{name}, split {split}" if split else name, data.features
            nested = nested_columns(features.arrow_schema) if features else ()
            chosen = with_feature_classes(find_columns(what, columns, options, nested), features)
            self._splits.append(_Split(split, data.select_columns(chosen.used(columns)), chosen))
        if not self._splits:
            raise SourceError(
                name, f"the split {', '.join(self._empty)} is empty: it has no rows", "name another with --split"
            )

    @property
    def summary(self) -> str:
        """The dataset, its splits, and the columns chosen."""
        names = ", ".join(split.name for split in self._splits if split.name)
        splits = f"split {names}, " if names else ""
        splits += f"empty: {', '.join(self._empty)}, " if self._empty else ""
        return f"{self._name}: hf, {splits}{self._splits[0].columns}"

    def cut(self, size: int) -> Iterator[Cut]:
        """Cut a saved dataset by rows, without reading pictures; of a stream a range carries its records.

        Raises:
            SourceError: the dataset can't be read on, so that the rows after are unknown.
        """
        can_seek = all(split.is_saved for split in self._splits)
        entries = (
            (digest_text(split.name, *_told(record)), (index, number) if can_seek else (index, number, record))
            for index, split in enumerate(self._splits)
            for number, record in enumerate(self._records(split, split.data, told=can_seek))
        )
        yield from cut_at(entries, size, can_seek)

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield a row per row.

        Raises:
            SourceError: the dataset can't be read on, so that the rows after are unknown.
        """
        records = cut.place if isinstance(cut.place, list) else self._from(cut.place, len(cut))
        for index, number, record in records:
            split = self._splits[index]
            row = to_row(record, split.columns, self._name, number, self._read_path)
            if split.name:
                name = f"{split.name}/{row.source.id}"
                source = replace(row.source, id=name, split=row.source.split or split.name)
                row = replace(row, source=source)
            yield row

    def _from(self, place: tuple[int, int], count: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield so many records of saved splits from one on, each after its split and its number in that."""
        index, start = place
        while count:
            split = self._splits[index]
            end = min(start + count, len(split.data))
            records = self._records(split, split.data.select(range(start, end)), start)
            yield from ((index, number, record) for number, record in enumerate(records, start))
            index, start, count = index + 1, 0, count - (end - start)

    def __getstate__(self) -> dict[str, Any]:
        # A stream is read where it is cut, and may hold what can't be pickled.
        splits = [split if split.is_saved else replace(split, data=None) for split in self._splits]
        return self.__dict__ | {"_splits": splits}

    def _records(self, split: _Split, data: Any, number: int = 0, told: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the records of a split's data.

        Args:
            split: that they are of.
            data: all of it, or a part.
            number: of the first one.
            told: without the columns that hold bytes, which saved data are not read for then.
        """
        if told:
            kinds = data.data.schema
            names = [name for name in data.column_names if not holds_bytes(kinds.field(name).type)]
            if not names:
                yield from ({} for _ in range(len(data)))
                return
            data = data.select_columns(names)
        records = _values(data)
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


def _told(record: Any) -> Iterator[str]:
    """Yield what a record says, all but the bytes of pictures."""
    if isinstance(record, dict):
        for name, value in record.items():
            yield str(name)
            yield from _told(value)
    elif not isinstance(record, bytes):
        yield str(record)


def _open(spec: str, name: str, split: str | None) -> Any:
    import datasets

    is_here = Path(spec).exists()
    try:
        if is_saved(Path(spec)):
            return load_saved(name, Path(spec), split)
        check_card(spec)
        return datasets.load_dataset(spec, streaming=True)
    except SourceError:
        raise
    except Exception as error:  # some ten kinds, from OSError to the Hub's own
        reason = why(error)
        fix = "check the name, the network and HF_TOKEN; a gated dataset asks for its terms to be accepted"
        if is_here:
            fix = "load it with datasets to see what is wrong with it"
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


def _undecoded(data: Any) -> Any:
    """Return the dataset with images, sounds and films in any column as the bytes or the path they were made of.

    Decoding opens paths, also those of addresses, of a column that is none of pictures as well.
    """
    import datasets

    if isinstance(data, datasets.Dataset):
        return data.with_format("arrow")  # whatever format it was saved with, and whichever columns that had
    return data.decode(False) if data.features is not None else data


def _values(data: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows, those of tables in batches and never decoded."""
    import datasets

    if not isinstance(data, datasets.Dataset):
        yield from data
        return
    for table in data.iter(BATCH_ROWS):
        columns = {name: list(_column_values(table.column(name))) for name in table.column_names}
        for index in range(table.num_rows):
            yield {name: values[index] for name, values in columns.items()}


def _column_values(column: Any) -> Iterator[Any]:
    """Yield a column's values; a string that is no UTF-8, which Arrow never checked, has lone surrogates."""
    import pyarrow
    from pyarrow import types

    if types.is_string(column.type) or types.is_large_string(column.type):
        for value in column.cast(pyarrow.large_binary()):
            yield value.as_py().decode("utf-8", "surrogateescape") if value.is_valid else None
    else:
        yield from column.to_pylist()


def _read_from_hub(written: str) -> bytes:
    """Read what a row of the Hub names: a file there (hf://), or in archives there (zip://a.jpg::hf://...).

    Any other address is not asked: a dataset must not make this machine ask just any. Those of http and https
    never come here: they are downloaded.
    """
    *archives, file = written.split("::")
    if not file.startswith(HUB) or not all(archive.startswith(ARCHIVES) for archive in archives):
        what = "an address" if "://" in written else "a path of another machine"
        detail = f"{written}: {what}; of a dataset on the Hub, files there and on http or https are read"
        raise Rejected(SkipReason.IMAGE_MISSING, detail)
    import fsspec

    try:
        with fsspec.open(written, "rb") as opened:
            data: bytes = opened.read()
    except Exception as error:  # every protocol has errors of its own
        raise Rejected(SkipReason.IMAGE_MISSING, f"{written}: {why(error)}") from error
    return data
