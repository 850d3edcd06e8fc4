"""The card of a dataset: ``datasets`` reads its front matter, and its figures are the manifest's."""

import html
import io
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
from huggingface_hub import DatasetCard
from markdown_it import MarkdownIt
from PIL import Image

from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.formats.corpora import CORPORA
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.publish.hub.command import PushOptions, plan_push
from glitbuild.stages.publish.hub.dataset import size_category
from tests.stages.ingest.formats.layouts import lay_out
from tests.stages.publish.hub.folders import REPO, make_dataset


def snapshot(source: Path, target: Path, **options: Any) -> DatasetCard:
    """Copy a dataset as it would lie on the Hub, and return its card."""
    shutil.copytree(source, target)
    for entry in plan_push(PushOptions(str(source), REPO, **options), plain=True):
        if entry.data is not None:
            (target / entry.name).write_bytes(entry.data)
    return DatasetCard.load(target / "README.md")


def test_datasets_loads_samples_and_pairs(dataset: Path, tmp_path: Path) -> None:
    card = snapshot(dataset, tmp_path / "data")
    where = {"split": "train", "cache_dir": str(tmp_path / "cache")}
    store, manifest = open_dataset(str(dataset))
    expected = [found for entry in manifest.shards for found in read_shard(store, entry.name, entry.sha256)]
    samples = datasets.load_dataset(str(tmp_path / "data"), **where)
    assert len(samples) == len(expected) == 3
    for row, (sample, jpeg) in zip(samples, expected, strict=True):
        assert row["json"] == json.loads(sample.to_json())
        assert row["jpg"].tobytes() == Image.open(io.BytesIO(jpeg)).tobytes()
        assert row["__key__"] == sample.key
    pairs = datasets.load_dataset("parquet", data_files=str(tmp_path / "data" / "pairs" / "*.parquet"), **where)
    assert len(pairs) == manifest.totals["pairs"] == 6
    first = expected[0][0].matched
    assert first
    box = first.regions[first.pairs[1].region].box
    assert tuple(pairs[1][side] for side in ("x1", "y1", "x2", "y2")) == box
    assert pairs[1]["text"] == "A red ball lies on the left."
    assert pairs[1]["best"]
    assert samples.features == datasets.Features._from_yaml_list(card.data["dataset_info"]["features"])


def test_types_are_those_of_all_records_not_of_the_first(tmp_path: Path) -> None:
    make_dataset(tmp_path / "source", 7)
    card = snapshot(tmp_path / "source", tmp_path / "data")
    info = card.data["dataset_info"]
    fields = {field["name"]: field for field in info["features"]}
    assert fields["jpg"] == {"name": "jpg", "dtype": "image"}
    regions = next(field for field in fields["json"]["struct"] if field["name"] == "regions")
    assert {"name": "score", "dtype": "float64"} in regions["list"]
    assert info["splits"] == [{"name": "train", "num_bytes": 7 * 10240, "num_examples": 7}]


def test_shards_that_are_missing_are_noticed(dataset: Path, tmp_path: Path) -> None:
    snapshot(dataset, tmp_path / "data")
    (tmp_path / "data" / "shards" / "00001.tar").unlink()
    with pytest.raises(datasets.exceptions.NonMatchingSplitsSizesError):
        datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))


def test_the_figures_are_those_of_the_manifest(dataset: Path, tmp_path: Path) -> None:
    card = snapshot(dataset, tmp_path / "data")
    _, manifest = open_dataset(str(dataset))
    for name, number in manifest.totals.items():
        assert f"| {name} | {number:,} |" in card.text
    assert "| shards | 3 |" in card.text
    assert "| detector | none |" in card.text
    assert "| glitbuild | 0.1.0 |" in card.text
    assert "| birds of prey | CC BY 4.0 | 3 |" in card.text
    assert card.data["license"] == "cc-by-4.0"
    assert card.data["size_categories"] == "n<1K"
    assert {"glitbuild", "region-sentence-pairs"} <= set(card.data["tags"])
    assert "![Samples" in card.text
    assert "{{" not in card.text
    assert "{%" not in card.text


def test_origin_and_split_come_from_an_input_to_the_card(tmp_path: Path) -> None:
    path = lay_out("coco", tmp_path)
    run_ingest(IngestOptions((str(path),), str(tmp_path / "source"), format="coco"))
    card = snapshot(tmp_path / "source", tmp_path / "data")
    for row in ("| coco/val2014 | 10 |", "| coco/train2014 | 5 |", "| test | 5 |", "| restval | 5 |"):
        assert row in card.text
    assert f"| coco | {CORPORA['coco'].license} | 15 |" in card.text
    make_dataset(tmp_path / "silent", 1)
    assert "What the pictures came from" not in snapshot(tmp_path / "silent", tmp_path / "card").text


def test_what_strangers_wrote_is_text_in_the_card(tmp_path: Path) -> None:
    hostile = (
        "x | [a](http://evil.test) ![i](http://evil.test/i) <img src=x> `c` {{ 7 * 7 }}\n---\nlicense: mit\n---"
    )
    make_dataset(tmp_path / "plain", 1, licence="birds only")
    make_dataset(tmp_path / "source", 1, licence=hostile)
    plain, card = (snapshot(tmp_path / name, tmp_path / f"{name}-card") for name in ("plain", "source"))
    assert {**card.data.to_dict(), "license_name": ""} == {**plain.data.to_dict(), "license_name": ""}
    markdown = MarkdownIt("commonmark").enable("table")
    pages = [markdown.render(each.text) for each in (plain, card)]
    for markup in ("<tr>", "<td>", "<a ", "<img ", "<code>", "<h2>", "<hr"):
        assert pages[0].count(markup) == pages[1].count(markup), markup
    assert html.escape(" ".join(hostile.split())) in pages[1]


def test_before_matching_there_are_no_pairs(tmp_path: Path) -> None:
    make_dataset(tmp_path / "source", 2, matched=False, licence="")
    card = snapshot(tmp_path / "source", tmp_path / "data", license="MIT")
    assert [config["config_name"] for config in card.data["configs"]] == ["default"]
    assert card.data["license"] == "mit"
    assert "parquet" not in card.text
    loaded = datasets.load_dataset(str(tmp_path / "data"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["json"][1]["caption"] == "A dog sits. A red ball lies on the left."


def test_no_samples_are_no_error(tmp_path: Path) -> None:
    make_dataset(tmp_path / "source", 0)
    card = snapshot(tmp_path / "source", tmp_path / "data")
    assert "![Samples" not in card.text
    assert not (tmp_path / "data" / "samples.png").exists()


@pytest.mark.slow
def test_the_same_dataset_has_the_same_card(dataset: Path, tmp_path: Path) -> None:
    cards = [str(snapshot(dataset, tmp_path / name)) for name in "ab"]
    assert cards[0] == cards[1]


@pytest.mark.parametrize(
    ("samples", "name"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (10**5, "100K<n<1M"),
        (10**12 - 1, "100B<n<1T"),
        (10**12, "n>1T"),
    ],
)
def test_the_hubs_name_of_a_size(samples: int, name: str) -> None:
    assert size_category(samples) == name
