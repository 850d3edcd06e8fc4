"""Tables in Markdown."""

import json
from collections.abc import Iterable, Mapping
from typing import Any


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; ``""`` without rows."""
    header, cells = list(header), [[_cell(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *cells])


def options_table(options: Mapping[str, Any]) -> str:
    """Return options as a table; those that are unset are left out."""
    rows = [(name, _value(value)) for name, value in options.items() if name != "stage" and value not in (None, "")]
    return table(("option", "value"), rows)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
