"""The one interface of every input: rows in an order that never changes, cut into ranges before they are read."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from glitbuild.errors import SourceError
from glitbuild.records import Rejected, SkipReason, Source

if TYPE_CHECKING:
    from glitbuild.stages.ingest.given_boxes import RowBoxes

T = TypeVar("T")

DIGEST = 8
"""Bytes per row by which a later run knows whether its input is the same."""

ROWS = 1000
"""Rows per range where nobody says how many."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the command line says of its inputs.

    Attributes:
        format: one of the registry's ``FORMATS``.
        image_column: the column, or a WebDataset's member extension, that holds the image.
        caption_column: likewise the caption's.
        split: the split to take of a Hugging Face dataset or a corpus that has several; None takes all.
        captions: false where images alone are wanted: no caption is looked for, every row's is None.
        keep_columns: further columns that rows keep, or ``("all",)``.
        boxes_column: the column that holds the regions that people marked.
        boxes_format: how their boxes are written, one of ``given_boxes.FORMATS``.
    """

    format: str = "auto"
    image_column: str | None = None
    caption_column: str | None = None
    split: str | None = None
    captions: bool = True
    keep_columns: tuple[str, ...] = ()
    boxes_column: str | None = None
    boxes_format: str = "xyxy"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input, its image not read yet.

    Attributes:
        source: where it came from; ``source.id`` names it within its input.
        caption: as the input has it, bytes that are no UTF-8 as lone surrogates (``surrogateescape``);
            None where it has none.
        read_image: returns the encoded image; raises OSError or Rejected where it can't.
        rejected: set where the row itself can't be read; the image is then never asked for.
        named: true where the input itself names its rows (an id column, a WebDataset key): such a name
            must not come twice.
        picture: how the input names the picture's file; rows of one input that name the same file are
            several captions of one picture. Empty where it gives bytes.
        url: where the image is to be downloaded from; ``read_image`` is replaced once it has been.
        extra: the columns that are kept, as the input has them.
        boxes: what the input marks in the picture; None where no column of boxes was named.
    """

    source: Source
    caption: str | None
    read_image: Callable[[], bytes]
    rejected: Rejected | None = None
    named: bool = False
    picture: str = ""
    url: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    boxes: "RowBoxes | None" = None

    @classmethod
    def reject(cls, source: Source, reason: SkipReason, detail: str) -> "Row":
        """Return a row that can't be read; its ``read_image`` raises the same reason.

        Its name is not counted: another row of that name may be whole.
        """

        def read_image() -> bytes:
            raise Rejected(reason, detail)

        return cls(source, None, read_image, Rejected(reason, detail))


@dataclass(frozen=True, slots=True)
class Cut:
    """A range of an input's rows, cut before any picture is read; picklable.

    Attributes:
        digests: ``DIGEST`` bytes per row, of all that the input says of it but the picture itself.
        place: where the rows are, or the rows themselves without their pictures, as the source likes it.
    """

    digests: bytes
    place: Any

    def __len__(self) -> int:
        return len(self.digests) // DIGEST


def digest(data: bytes) -> bytes:
    """Return a row's digest from all that the input says of it."""
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


def digest_text(*parts: str) -> bytes:
    """Return the digest of a row that is given by these texts."""
    return digest("\0".join(parts).encode("utf-8", "surrogatepass"))


def cut_at(entries: Iterable[tuple[bytes, Any]], size: int, can_seek: bool = False) -> Iterator[Cut]:
    """Cut an input into ranges.

    Args:
        entries: of each row the digest, and its place or, where an input can't be entered in its middle, all that
            ``RowSource.read`` needs to make the row.
        size: rows per range.
        can_seek: a range is the place of its first row; otherwise it carries what its rows are made of.
    """
    remaining = iter(entries)
    while first := next(remaining, None):
        digests, carried = bytearray(first[0]), [first[1]]
        for found, entry in islice(remaining, size - 1):
            digests += found
            if not can_seek:
                carried.append(entry)
        yield Cut(bytes(digests), first[1] if can_seek else carried)


def same_rows(entries: Iterable[T], digest_of: Callable[[T], bytes], cut: Cut, name: str) -> Iterator[T]:
    """Pass on the entries of a range that is read, as long as they are those that were cut.

    Args:
        entries: no more than the range has.
        digest_of: returns the digest of an entry.
        cut: the range.
        name: of the input, for the error.

    Raises:
        SourceError: the input has changed meanwhile.
    """
    number = 0
    for number, entry in enumerate(entries, 1):
        if digest_of(entry) != cut.digests[(number - 1) * DIGEST : number * DIGEST]:
            raise changed_meanwhile(name)
        yield entry
    if number < len(cut):
        raise changed_meanwhile(name)


def changed_meanwhile(name: str) -> SourceError:
    """Return the error for an input that is not what it was when it was cut."""
    return SourceError(name, "it was changed while it was being read", "leave it alone, and run the command again")


class RowSource(ABC):
    """An input of ``ingest``, opened and checked: its columns are there when the constructor returns. Picklable."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What was chosen, for the log and to know the input again: its name, the format, the columns."""

    @abstractmethod
    def cut(self, size: int) -> Iterator[Cut]:
        """Yield ranges of ``size`` rows, the last one shorter, the same ones every time; no picture is read.

        Raises:
            SourceError: the input can't be read on, so that the rows after are unknown.
        """

    @abstractmethod
    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield the rows of a range, the broken ones too; no other row is read, and their pictures not yet.

        Args:
            cut: as ``cut`` yielded it, perhaps on another machine.
            first: number of its first row in this input, counted from 0.

        Raises:
            SourceError: the input is not what it was when it was cut.
        """

    def rows(self) -> Iterator[Row]:
        """Yield every row of the input, the broken ones too, in the same order every time."""
        first = 0
        for cut in self.cut(ROWS):
            yield from self.read(cut, first)
            first += len(cut)
