"""What is in a kept column: the mean and the range of numbers, how often texts and booleans come."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from glitbuild.records import Value

MOST_DIFFERENT = 10_000
"""Values of a column that are counted; one with more of them, such as names, has no frequent ones."""
MOST_SHOWN = 20


@dataclass(slots=True)
class ColumnCount:
    """The values of one column.

    Attributes:
        total: how many were added.
        sum: of numbers, and their ``low`` and ``high``.
        values: how often each text or boolean came; None once there were more than ``MOST_DIFFERENT``.
        is_number: of which of the two the column is.
    """

    total: int = 0
    sum: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")
    values: Counter[str] | None = field(default_factory=Counter)
    is_number: bool = False

    def add(self, value: Value) -> None:
        """Count one more value."""
        self.total += 1
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.is_number = True
            self.sum += value
            self.low, self.high = min(self.low, value), max(self.high, value)
        elif self.values is not None:
            self.values[str(value).lower() if isinstance(value, bool) else value] += 1
            self._forget_if_too_many()

    def merge(self, other: "ColumnCount") -> None:
        """Add what was counted of the same column elsewhere."""
        self.total += other.total
        self.sum += other.sum
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.is_number = self.is_number or other.is_number
        if self.values is None or other.values is None:
            self.values = None
            return
        self.values.update(other.values)
        self._forget_if_too_many()

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON: ``mean``, ``min`` and ``max``, or ``different`` and the most frequent ``values``.

        Where there are too many to count, ``different`` is how many there are at least, and ``values`` is empty.
        """
        if self.is_number:
            return {"count": self.total, "mean": self.sum / self.total, "min": self.low, "max": self.high}
        if self.values is None:
            return {"count": self.total, "different": MOST_DIFFERENT + 1, "values": {}}
        ordered = sorted(self.values.items(), key=lambda item: (-item[1], item[0]))
        return {"count": self.total, "different": len(ordered), "values": dict(ordered[:MOST_SHOWN])}

    def _forget_if_too_many(self) -> None:
        if self.values is not None and len(self.values) > MOST_DIFFERENT:
            self.values = None
