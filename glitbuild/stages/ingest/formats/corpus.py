"""What all corpora have in common: a folder as published, splits, and entries that become rows."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.files import embedded_image, read_file
from glitbuild.stages.ingest.given_boxes import RowBoxes
from glitbuild.stages.ingest.kept_columns import ALL
from glitbuild.stages.ingest.remote import AnyPath, check_content
from glitbuild.stages.ingest.source import Cut, Row, RowSource, SourceOptions, cut_at, digest_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture with one of its captions.

    Attributes:
        id: names it within the corpus; where it is empty, the number of its record does.
        image: path of the picture, relative to the corpus's folder, or the picture itself as text.
        caption: None where it has none.
        split: the part of the corpus that it is in.
        origin: what the corpus says the picture came from.
        boxes: what the corpus marks in the picture, where that was asked for.
    """

    id: str
    image: str
    caption: str | None
    split: str = ""
    origin: str = ""
    boxes: RowBoxes | None = None


class CorpusSource(RowSource):
    """A corpus in the layout of its official download.

    A subclass says what the corpus is like, reads its records, and makes entries of a record.

    Args:
        path: the folder, or where ``is_list`` the file.
        options: ``split``: one or, with commas, several of ``splits``; ``caption_column``: one of
            the fields in ``captions``; ``captions``: without them every row's is None; ``boxes_column``: one
            of the fields in ``boxes``.

    Raises:
        SourceError: something of the layout is missing, or there is no such split, caption or column.
    """

    name: ClassVar[str]
    """Of ``--format``; also the rows' dataset."""
    license: ClassVar[str]
    layout: ClassVar[tuple[str, ...]] = ()
    """Files and folders without which it is not this corpus."""
    is_list: ClassVar[bool] = False
    """Whether the corpus is named by a file, with pictures beside it."""
    splits: ClassVar[tuple[str, ...]] = ()
    captions: ClassVar[tuple[str, ...]] = ()
    """Fields with a caption, of which ``--caption-column`` takes another than the usual one."""
    boxes: ClassVar[tuple[str, ...]] = ()
    """Fields with regions that people marked, for ``--boxes-column``."""
    unique: ClassVar[bool] = True
    """Whether the ids of entries must not come twice."""

    def __init__(self, path: AnyPath, options: SourceOptions) -> None:
        what, see = path.name, "see docs/corpora.md"
        if path.is_dir() == self.is_list:
            kind = "a file" if self.is_list else "a folder"
            raise SourceError(what, f"--format {self.name} takes {kind}", see)
        for name in self.layout:
            if not (path / name).exists():
                raise SourceError(what, f"it is not laid out as {self.name}: no {name} in it", see)
        for file in (path, *(path / name for name in self.layout)):
            if not file.is_dir():
                check_content(file, "list")
        if options.image_column is not None:
            raise SourceError(what, f"--format {self.name} knows its images", "leave out --image-column")
        self._path, self._root = path, path.parent if self.is_list else path
        self._column = _choice(what, "--caption-column", options.caption_column, self.captions)
        self._boxes_column = _choice(what, "--boxes-column", options.boxes_column, self.boxes)
        if options.keep_columns not in ((), (ALL,)):
            raise SourceError(what, f"--format {self.name} has no columns to keep", "leave out --keep-columns")
        self._with_captions = options.captions
        chosen = options.split.split(",") if options.split is not None else []
        self._split = [_choice(what, "--split", split, self.splits) for split in chosen]

    @property
    def summary(self) -> str:
        """The corpus, and what was chosen of it."""
        splits = f", split {','.join(map(str, self._split))}" if self._split else ""
        return f"{self._path.name}: {self.name}{splits}" + (f', caption "{self._column}"' if self._column else "")

    def cut(self, size: int) -> Iterator[Cut]:
        """Cut the lists of the corpus: a range carries its entries."""
        return cut_at(((_digest(entry), (number, entry)) for number, entry in self._entries()), size)

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield a row per caption, in the order of the corpus."""
        for number, entry in cut.place:
            if isinstance(entry, Rejected):
                yield Row.reject(Source(self.name, str(number)), entry.reason, entry.detail)
            else:
                yield self._row(entry, number)

    def _entries(self) -> Iterator[tuple[int, Entry | Rejected]]:
        """Yield the entries of the chosen splits, each after the number of its record."""
        for number, record in enumerate(self.records()):
            try:
                if isinstance(record, Rejected):
                    raise record
                for entry in list(self.entries(record)):
                    if not self._split or entry.split in self._split:
                        yield number, entry
            except Rejected as rejected:
                yield number, rejected

    @abstractmethod
    def records(self) -> Iterator[Any]:
        """Yield what the corpus is a list of, or ``Rejected`` for what can't be read."""

    @abstractmethod
    def entries(self, record: Any) -> Iterable[Entry]:
        """Return the entries of a record.

        Raises:
            Rejected: it lacks something.
        """

    def _row(self, entry: Entry, number: int) -> Row:
        source = Source(
            self.name, entry.id or str(number), license=self.license, split=entry.split, origin=entry.origin
        )
        embedded = embedded_image(entry.image)
        read_image = embedded or partial(read_file, self._root, entry.image)
        caption = entry.caption if self._with_captions else None
        picture = "" if embedded else entry.image
        return Row(source, caption, read_image, named=self.unique, picture=picture, boxes=entry.boxes)


def _digest(entry: Entry | Rejected) -> bytes:
    return digest_text(str(entry) if isinstance(entry, Rejected) else repr(entry))


def value_of(record: Any, name: str, kind: type[T]) -> T:
    """Return a value of a record.

    Raises:
        Rejected: it is missing or of another type.
    """
    if isinstance(record, Rejected):
        raise record
    if not isinstance(record, Mapping):
        raise Rejected(SkipReason.ROW_UNREADABLE, f"a {type(record).__name__}, not an object")
    value = record.get(name)
    if not isinstance(value, kind):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        raise Rejected(SkipReason.ROW_UNREADABLE, f'"{name}" is {found}, not a {kind.__name__}')
    return value


def by_number(name: str) -> tuple[int, str]:
    """Sort names that differ in a number, as ``sa_9.jpg`` and ``sa_10.jpg``, by that number."""
    return len(name), name


def _choice(what: str, option: str, given: str | None, known: tuple[str, ...]) -> str | None:
    if given is not None and given not in known:
        fix = f"give one of: {', '.join(known)}" if known else f"leave out {option}"
        raise SourceError(f"{option} {given}", f"{what} has no such thing", fix)
    return given
