"""The one interface of every input: an iterable of rows, in an order that never changes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from glitbuild.records import SkipReason, Source

if TYPE_CHECKING:
    from glitbuild.ingest.given_boxes import RowBoxes


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


class RowSource(Protocol):
    """An input of ``ingest``, opened and checked: its columns are there when the constructor returns."""

    @property
    def summary(self) -> str:
        """What was chosen, for the log: the format, the columns."""

    def rows(self) -> Iterator[Row]:
        """Yield every row of the input, the broken ones too, in the same order every time."""
