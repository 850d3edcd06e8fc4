"""What the schema of a table says of its columns before any row is read."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glitbuild.stages.ingest.columns import Columns
from glitbuild.stages.ingest.given_boxes import LABEL_KEYS

if TYPE_CHECKING:
    from datasets import Features


def nested_columns(schema: Any) -> list[str]:
    """Return the columns that hold lists, objects or bytes."""
    from pyarrow import types

    tests = (types.is_nested, types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return [field.name for field in schema if any(test(field.type) for test in tests)]


def with_classes(columns: Columns, schema: Any) -> Columns:
    """Return the columns with the names of the classes, where the column of boxes has labels that are numbers.

    ``datasets`` writes them into the metadata of an Arrow schema.
    """
    if columns.boxes is None or b"huggingface" not in (schema.metadata or {}):
        return columns
    from datasets import Features

    return with_feature_classes(columns, Features.from_arrow_schema(schema))


def with_feature_classes(columns: Columns, features: "Features | None") -> Columns:
    """Return the same for a dataset of ``datasets``; None: its features are not known."""
    if columns.boxes is None or not features:
        return columns
    return replace(columns, classes=tuple(_classes(features[columns.boxes], False)))


def _classes(feature: Any, is_label: bool) -> list[str]:
    """Return the names of the first label that has some, within lists and objects."""
    if isinstance(feature, dict):
        return next(filter(None, (_classes(of, name in LABEL_KEYS) for name, of in feature.items())), [])
    if isinstance(feature, list):
        return _classes(feature[0], is_label)
    if (inner := getattr(feature, "feature", None)) is not None:
        return _classes(inner, is_label)
    names: list[str] | None = getattr(feature, "names", None)
    return list(names) if is_label and names else []
