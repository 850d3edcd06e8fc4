"""Contents of a dataset's repository on the Hub: its files, its card, and an image of samples."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from glitbuild.engine.progress import Progress
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.shards.layout import FIRST_SIZES, MANIFEST, SIZES, sidecar_path, sizes_path, tar_path
from glitbuild.shards.manifest import Manifest, manifest_sha256, open_dataset, sizes_json
from glitbuild.shards.reader import VALIDATE, check_files, read_shard
from glitbuild.shards.sidecar import finished_sidecars
from glitbuild.shards.store import Store, StoredFile
from glitbuild.stages.evaluate.options import ALIGNMENT
from glitbuild.stages.publish.hub.command import PushOptions
from glitbuild.stages.publish.hub.metrics import read_report
from glitbuild.stages.publish.hub.remote import CARD, Contents, Entry
from glitbuild.stages.publish.hub.survey import Survey, metadata, survey
from glitbuild.stages.publish.sheet import MOST, Example, sheet_png


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table, or ``""`` if there are no rows."""
    header, cells = list(header), [[_cell(cell) for cell in row] for row in rows]
    if not cells:
        return ""
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *cells])


def options_table(options: Mapping[str, Any]) -> str:
    """Return options as a table, omitting those that are unset."""
    rows = [(name, _value(value)) for name, value in options.items() if name != "stage" and value not in (None, "")]
    return table(("option", "value"), rows)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    """Return a text as a cell that shows it as it is: no markup, links or images of a stranger's name."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\|\[\]`*]", r"\\\g<0>", line)


MADE_BY = {
    "ingest": "Images and long captions, checked and collected with glitbuild.",
    "match": "Images with long captions. Every sentence of a caption is paired with the region of its image that "
    "is most similar to it, among detections, the quadrants and the centre.",
    "scenes": "Drawn scenes with long captions; `truth/` says what each sentence describes, and where that is.",
}

TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

{{ what }}

{{ figures }}
{% if quality %}
{{ quality }}
{% endif %}{% if picture %}
![Samples: images with their regions, and below each a sentence]({{ picture }})
{% endif %}
## Load it

With [datasets](https://github.com/huggingface/datasets):

```python
from datasets import load_dataset

samples = load_dataset("{{ repo }}", split="train")  # streaming=True reads it without a local copy
print(samples[0]["jpg"].size, samples[0]["json"]["caption"])
{%- if matched %}

pairs = load_dataset("parquet", data_files="hf://datasets/{{ repo }}/pairs/*.parquet", split="train")
print(pairs[0]["text"], [pairs[0][side] for side in ("x1", "y1", "x2", "y2")])
{%- endif %}
```

With [webdataset](https://github.com/webdataset/webdataset):

```python
import webdataset
from huggingface_hub import snapshot_download

folder = snapshot_download("{{ repo }}", repo_type="dataset")
shards = webdataset.WebDataset(folder + "/{{ pattern }}", shardshuffle=False).decode("pil")
for sample in shards:
    print(sample["__key__"], sample["jpg"].size, sample["json"]["caption"])
    break
```
{% if matched %}
The pairs alone, with [pandas](https://pandas.pydata.org):

```python
import pandas

pairs = pandas.read_parquet("hf://datasets/{{ repo }}/pairs")
print(pairs[["key", "text", "similarity"]].head())
```
{% else %}
With Python alone, one shard at a time:

```python
import json
import tarfile

from huggingface_hub import hf_hub_download

with tarfile.open(hf_hub_download("{{ repo }}", "{{ first }}", repo_type="dataset")) as tar:
    for member in tar:
        if member.name.endswith(".json"):
            print(json.load(tar.extractfile(member))["caption"])
```
{% endif %}
## What is in it

`shards/*.tar` are WebDataset shards. A sample is `KEY.jpg`
{%- if has_text %}, `KEY.txt`, its caption,{% endif %} and
`KEY.json`: the caption, the image's size and SHA-256, and its source.
{%- if matched %} Its `sentences` are character spans of the caption, its `regions` have boxes in pixels
(x to the right, y down), its `pairs` are one per sentence, and `best_pair` is the most similar of them.
`pairs/*.parquet` has one row per pair, without pixels.{% endif %} `manifest.json` has the totals, the options and
the SHA-256 of every shard; `skipped/` lists each input that was skipped, with the reason.
{% if boxes is not none %}
People marked {{ "{:,}".format(boxes) }} regions{% if left_out %} ({{ "{:,}".format(left_out) }} more were empty or
outside their images){% endif %}: `boxes` of a record is a JSON list of objects with `box`, `label` and
`sentence`.
{%- if matched %} They are candidates of kind `given`, with these values as their `label` and `sentence`.{% endif %}
{% endif %}{% if columns %}
Columns of the input that were kept, in `source.extra` of a record
{%- if matched %} and as `extra_...` in `pairs/`{% endif %}:

{{ columns }}
{% endif %}{% if skipped %}
{{ skipped }}
{% endif %}
## How it was made

`glitbuild {{ stage }}` with these options:

{{ options }}

{{ versions }}
{% if sources %}
## Sources and licences

{{ sources }}
{% endif %}{% if origins %}
What the images were derived from, according to their records:

{{ origins }}
{% endif %}{% if splits %}
Splits of the source datasets that the samples are from; in this dataset they form a single split:

{{ splits }}
{% endif %}"""


MOST_SOURCES = 20

SIZE_CATEGORIES = (
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
"""Size categories of the Hub, each with its exclusive upper limit."""


def dataset_card(options: PushOptions, manifest: Manifest, survey: Survey, picture: str, quality: str = "") -> str:
    """Return the card of a dataset.

    Args:
        options: options of the command.
        manifest: manifest of the dataset.
        survey: survey of its records.
        picture: path of the image of samples in the repository, or ``""``.
        quality: sentence on how well captions and images agree, or ``""``.
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
        # datasets uses the format of the first configuration for all of them (its issue 6447), so the pairs, which
        # are Parquet, can't be a configuration of their own.
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
        quality=quality,
        matched=matched,
        has_text=manifest.has_text,
        pattern=_pattern(shards),
        first=tar_path(shards[0]) if shards else "",
        skipped=table(("reason skipped", "inputs"), [(why, f"{n:,}") for why, n in manifest.skipped.items()]),
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
    """Return the Hub's size category for a number of samples, such as ``10K<n<100K``."""
    return next((name for limit, name in SIZE_CATEGORIES if samples < limit), "n>1T")


def _add_types(card_data: Any, manifest: Manifest, survey: Survey) -> None:
    """Add the types that ``datasets`` would otherwise guess from five samples, and the totals that it checks."""
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
    """Return the paths of all tars as a brace expression, which webdataset expands."""
    return f"shards/{{{shards[0]}..{shards[-1]}}}.tar" if shards else "shards/*.tar"


def _counted(manifest: Manifest, field: str) -> str:
    """Return the number of samples per value of a source field; ``""`` if no sample has one."""
    counts = (manifest.sources or {}).get(field, {})
    rows = [(value or "not stated", f"{n:,}") for value, n in counts.items()]
    more = [("...", f"{len(rows) - MOST_SOURCES:,} more")] if len(rows) > MOST_SOURCES else []
    return table((field, "samples"), rows[:MOST_SOURCES] + more) if any(counts) else ""


def _sources(survey: Survey) -> str:
    rows = [(name or "-", licence or "not stated", f"{n:,}") for (name, licence), n in survey.sources.most_common()]
    more = [("...", f"{len(rows) - MOST_SOURCES:,} more", "")] if len(rows) > MOST_SOURCES else []
    return table(("dataset", "licence", "samples"), rows[:MOST_SOURCES] + more)


PICTURE = "samples.png"

log = logging.getLogger(__name__)


def dataset_contents(options: PushOptions, plain: bool = False) -> Contents:
    """Return the contents of a dataset's repository.

    A ``README.md`` in the dataset directory is used as the card; otherwise one is generated.

    Raises:
        ConfigError: there is no dataset, it isn't finished, or an option doesn't apply to datasets.
        DatasetError: a file is missing or differs from what was written.
    """
    store, manifest = open_dataset(options.path)
    quality = _quality(options.eval, store) if options.eval else ""
    files = tuple(_files(store, manifest, plain))
    last = [Entry.stored(store, sizes_path(manifest.schema)), Entry.stored(store, MANIFEST)]
    if store.exists(CARD):
        if quality:
            fix = "write the number into it, or remove it to have a card made"
            raise ConfigError(f"--eval {options.eval}", f"{store.path(CARD)} is the card", fix)
        last.append(Entry.stored(store, CARD))
    else:
        last += _made(options, store, manifest, quality, plain)
    return Contents("dataset", store, files, tuple(last), (MANIFEST, SIZES, FIRST_SIZES))


def _quality(path: str, store: Store) -> str:
    """Return what a report of eval's suite alignment says about the dataset, as a sentence.

    Raises:
        ConfigError: the report is of another dataset, or of other suites.
    """
    report, _ = read_report(path)
    if report["dataset"]["manifest"] != f"sha256:{manifest_sha256(store)}":
        fix = f"evaluate this one: glitbuild eval MODEL {store.url} --suite {ALIGNMENT} --out {path}"
        raise ConfigError(f"--eval {path}", "it is about another dataset, or another version of it", fix)
    if ALIGNMENT not in report["suites"]:
        why = "a dataset's card shows how well its captions fit its images, and this has metrics of a model"
        raise ConfigError(f"--eval {path}", why, f"evaluate with --suite {ALIGNMENT}")
    found, model = report["suites"][ALIGNMENT]["figures"]["captions"], report["model"]
    said = f"{found['cosine_mean']:.2f} (90 % from {found['cosine_p5']:.2f} to {found['cosine_p95']:.2f})"
    return (
        f"Cosine of whole captions with their images under {model['name']} (`{model['identity']}`, "
        f"{model['context_length']} tokens), times 100: mean {said}."
    )


def _files(store: Store, manifest: Manifest, plain: bool) -> list[Entry]:
    """Return the files of all shards, shard by shard, after verifying their content."""
    names = [entry.name for entry in manifest.shards]
    entries: list[Entry] = []
    for entry, sidecar in zip(manifest.shards, finished_sidecars(store, names), strict=True):
        if sidecar.files[tar_path(entry.name)].sha256 != entry.sha256:
            raise _wrong(store, sidecar_path(entry.name), "it does not describe the shard that the manifest lists")
        entries += [Entry(name, file.bytes, file.sha256) for name, file in sidecar.files.items()]
        entries.append(Entry.stored(store, sidecar_path(entry.name)))
    sizes = sizes_path(manifest.schema)
    if not store.exists(sizes) or store.read(sizes) != sizes_json(manifest.shards):
        raise _wrong(store, sizes, "it is missing, or its sample counts differ from the manifest")
    with Progress("push: checking files", len(entries), plain, "files") as progress:
        written = {entry.name: StoredFile(entry.size, entry.sha256) for entry in entries}
        check_files(store, written, progress.advance)
    return entries


def _wrong(store: Store, name: str, why: str) -> DatasetError:
    return DatasetError(store.path(name), why, VALIDATE)


def _made(options: PushOptions, store: Store, manifest: Manifest, quality: str, plain: bool) -> Iterator[Entry]:
    count_sources = not options.license
    with Progress("push: reading records", manifest.totals["samples"], plain, "samples") as progress:
        found = survey(store, manifest, count_sources, progress.advance)
    if count_sources and not any(licence for _, licence in found.sources):
        log.warning("push: no sample states its licence, so the card states none; set it with --license")
    if picture := _picture(store, manifest):
        yield Entry.made(PICTURE, picture)
    card = dataset_card(options, manifest, found, PICTURE if picture else "", quality)
    yield Entry.made(CARD, card.encode())


def _picture(store: Store, manifest: Manifest) -> bytes:
    samples = chain.from_iterable(read_shard(store, entry.name, entry.sha256) for entry in manifest.shards)
    examples = [
        Example(sample, jpeg, [given.box for given in sample.boxes or ()]) for sample, jpeg in islice(samples, MOST)
    ]
    return sheet_png(examples) if examples else b""
