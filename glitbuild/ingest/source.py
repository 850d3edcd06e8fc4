"""The one interface of every input: an iterable of rows, in an order that never changes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from glitbuild.records import SkipReason, Source


@dataclass(frozen=True, slots=True)
class Rejected(Exception):  # noqa: N818 - a row is rejected, nothing went wrong in the program
    """A row can't become a sample; it becomes a row of ``skipped/``."""

    reason: SkipReason
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input, its image not read yet.

    Attributes:
        source: where it came from; ``source.id`` names it within its input.
        caption: as the input has it; None where it has none.
        read_image: returns the encoded image; raises OSError or Rejected where it can't.
        rejected: set where the row itself can't be read; the image is then never asked for.
        named: true where the input itself names its rows (an id column, a WebDataset key): such a name
            must not come twice.
    """

    source: Source
    caption: str | None
    read_image: Callable[[], bytes]
    rejected: Rejected | None = None
    named: bool = False


class RowSource(Protocol):
    """An input of ``ingest``, opened and checked: its columns are there when the constructor returns."""

    @property
    def summary(self) -> str:
        """What was chosen, for the log: the format, the columns."""

    def rows(self) -> Iterator[Row]:
        """Yield every row of the input, the broken ones too, in the same order every time."""
