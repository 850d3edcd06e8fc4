"""The card of a dataset: front matter that the Hub and ``datasets`` read, then what people read."""

from collections.abc import Iterable
from typing import Any

from glitbuild.shards.layout import tar_path
from glitbuild.shards.manifest import Manifest
from glitbuild.stages.publish.hub.dataset_text import MADE_BY, TEMPLATE
from glitbuild.stages.publish.hub.licences import metadata
from glitbuild.stages.publish.hub.options import PushOptions
from glitbuild.stages.publish.hub.survey import Survey
from glitbuild.stages.publish.hub.tables import options_table, table

MOST_SOURCES = 20

SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
"""The Hub's categories of size, each with the number that is too large for it."""


def dataset_card(options: PushOptions, manifest: Manifest, survey: Survey, picture: str) -> str:
    """Return a dataset's card.

    Args:
        options: of the command.
        manifest: of the dataset.
        survey: of its records.
        picture: path of the picture of samples in the repository, or ``""``.
    """
    from huggingface_hub import DatasetCard, DatasetCardData

    matched = manifest.config["stage"] == "match"
    tags = ["glitbuild", "clip", "image-text", "long-captions", *(["region-sentence-pairs"] if matched else [])]
    card_data = DatasetCardData(
        language="en",
        pretty_name=options.repo.partition("/")[2],
        size_categories=size_category(manifest.totals["samples"]),
        task_categories=["zero-shot-image-classification", "image-to-text"],
        tags=tags,
        # datasets takes the format of the first configuration for all of them (its issue 6447), so the pairs, which
        # are Parquet, can't be one of their own.
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": "shards/*.tar"}]}],
        **metadata([options.license] if options.license else (licence for _, licence in survey.sources)),
    )
    _add_types(card_data, manifest, survey)
    shards = [entry.name for entry in manifest.shards]
    text: DatasetCard = DatasetCard.from_template(
        card_data,
        template_str=TEMPLATE,
        name=options.repo.partition("/")[2],
        repo=options.repo,
        what=MADE_BY.get(manifest.config["stage"], MADE_BY["ingest"]),
        figures=table(("", "number"), [(name, f"{n:,}") for name, n in _figures(manifest)]),
        picture=picture,
        matched=matched,
        has_text=manifest.has_text,
        pattern=_pattern(shards),
        first=tar_path(shards[0]) if shards else "",
        skipped=table(("left out because", "inputs"), [(why, f"{n:,}") for why, n in manifest.skipped.items()]),
        stage=manifest.config["stage"],
        options=options_table(manifest.config),
        versions=table(("package", "version"), manifest.versions.items()),
        columns=table(("column", "type"), manifest.config.get("keep_columns", {}).items()),
        boxes=manifest.totals.get("boxes"),
        left_out=manifest.totals.get("boxes_left_out"),
        sources=_sources(survey),
        origins=_counted(manifest, "origin"),
        splits=_counted(manifest, "split"),
    )
    return str(text)


def size_category(samples: int) -> str:
    """Return the Hub's name for a number of samples, such as ``10K<n<100K``."""
    return next((name for limit, name in SIZES if samples < limit), "n>1T")


def _add_types(card_data: Any, manifest: Manifest, survey: Survey) -> None:
    """Add what ``datasets`` would otherwise guess from the first five samples, and the number that it checks."""
    import pyarrow as pa
    from datasets import DatasetInfo, Features, Image, SplitDict, SplitInfo, Value
    from datasets.info import DatasetInfosDict

    if not survey.records:
        return
    record = Features.from_arrow_schema(pa.Table.from_pylist(survey.records).schema)
    text = Value("string")
    caption = {"txt": text} if manifest.has_text else {}
    features = Features({"jpg": Image(), "json": dict(record)} | caption | {"__key__": text, "__url__": text})
    size, samples = manifest.totals["bytes"], manifest.totals["samples"]
    splits = SplitDict({"train": SplitInfo("train", size, samples)})
    info = DatasetInfo(features=features, splits=splits, download_size=size, dataset_size=size)
    DatasetInfosDict({"default": info}).to_dataset_card_data(card_data)


def _figures(manifest: Manifest) -> Iterable[tuple[str, int]]:
    yield "shards", len(manifest.shards)
    first = ("samples", "sentences", "pairs", "regions", "objects")
    yield from ((name, manifest.totals[name]) for name in first if name in manifest.totals)
    yield from ((name, number) for name, number in manifest.totals.items() if name not in first)


def _pattern(shards: list[str]) -> str:
    """Return the paths of all tars in braces, as webdataset expands them."""
    return f"shards/{{{shards[0]}..{shards[-1]}}}.tar" if shards else "shards/*.tar"


def _counted(manifest: Manifest, field: str) -> str:
    """Return how many samples have which value of a field of their sources; ``""`` where none has any."""
    counts = (manifest.sources or {}).get(field, {})
    rows = [(value or "not stated", f"{n:,}") for value, n in counts.items()]
    more = [("...", f"{len(rows) - MOST_SOURCES:,} more")] if len(rows) > MOST_SOURCES else []
    return table((field, "samples"), rows[:MOST_SOURCES] + more) if any(counts) else ""


def _sources(survey: Survey) -> str:
    rows = [(name or "-", licence or "not stated", f"{n:,}") for (name, licence), n in survey.sources.most_common()]
    more = [("...", f"{len(rows) - MOST_SOURCES:,} more", "")] if len(rows) > MOST_SOURCES else []
    return table(("dataset", "licence", "samples"), rows[:MOST_SOURCES] + more)
