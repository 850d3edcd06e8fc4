"""A set of row numbers, at about a bit a row."""

BITS = 1024


class RowSet:
    """Row numbers, such as the keys of samples; rows that lie close together share an integer."""

    def __init__(self) -> None:
        self._masks: dict[int, int] = {}

    def add(self, row: int) -> bool:
        """Add a row; return False if it was there before."""
        index, bit = divmod(row, BITS)
        mask = self._masks.get(index, 0)
        self._masks[index] = mask | 1 << bit
        return not mask >> bit & 1

    def __contains__(self, row: object) -> bool:
        if not isinstance(row, int):
            return False
        index, bit = divmod(row, BITS)
        return bool(self._masks.get(index, 0) >> bit & 1)

    def __bool__(self) -> bool:
        return bool(self._masks)
