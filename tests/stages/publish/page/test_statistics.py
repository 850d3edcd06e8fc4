"""The page of statistics: its figures, and how it looks in a browser."""

import json
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.stats import collect
from glitbuild.stages.publish.page.statistics import (
    MOST_PAIRS,
    Figures,
    collect_figures,
    statistics_page,
    write_statistics,
)
from tests.factories import sample_with_jpeg
from tests.run import here
from tests.stages.publish.page.conftest import Open
from tests.stages.publish.page.datasets import Made, scene, write
from tests.stages.publish.page.looks import assert_fits, assert_named, assert_readable

pytestmark = pytest.mark.slow

HOSTILE = "</style><img src=x onerror=alert(1)> & <script>alert(2)</script>."


def made(number: int) -> Made:
    """Similarities -.1 and .5 in sample 0, a hundredth more in each that follows; the dog is the better pair."""
    text = HOSTILE if number == 9 else f"Dog number {number} sits."
    return scene(number, [("Nothing stirs.", 0, -0.1 + number / 100), (text, 5, 0.5 + number / 100)], "dog")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("stats"), map(made, range(10)), map(made, range(10, 16)))


@pytest.fixture(scope="module")
def figures(data: str) -> Figures:

    done: list[int] = []
    found = collect_figures(*open_dataset(data), done.append)
    assert sum(done) == 16
    return found


@pytest.fixture(scope="module")
def page_file(data: str, figures: Figures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "stats.html"
    path.write_bytes(statistics_page("data", open_dataset(data)[1], figures))
    return path


def test_the_tables_are_those_of_stats(data: str, figures: Figures) -> None:
    assert figures.stats.as_dict() == collect(*open_dataset(data)).as_dict()
    assert figures.fine.similarity.total == figures.stats.similarity.total == 32


def test_the_worst_and_best_pairs_are_in_order_one_an_image(figures: Figures) -> None:
    worst, best = figures.worst.in_order(), figures.best.in_order()
    assert [int(each.sample.key) for each in worst] == list(range(MOST_PAIRS))
    assert [int(each.sample.key) for each in best] == list(range(15, 15 - MOST_PAIRS, -1))
    for each in (*worst, *best):
        assert each.sample.matched
        chosen = max if each in best else min
        assert each.pair == chosen(each.sample.pairs, key=lambda pair: pair.similarity)
    assert {each.pair.region.kind for each in worst} == {"quadrant"}
    assert {each.pair.region.kind for each in best} == {"object"}


def test_tokens_are_clips_and_those_beyond_what_it_reads_are_counted(tmp_path: Path) -> None:

    # A word of one token each, and one token more at either end.
    samples = [
        sample_with_jpeg(number, " ".join(["dog"] * words)) for number, words in enumerate((1, 75, 76, 246, 247))
    ]
    data = write(tmp_path, samples, stage="ingest")
    found = collect_figures(*open_dataset(data), lambda samples: None)
    assert [index for index, count in enumerate(found.tokens.counts) if count] == [3, 77, 78, 248, 249]
    assert found.beyond == {77: 3, 248: 1}


def test_the_command_writes_the_page_and_prints_the_tables(data: str, tmp_path: Path) -> None:
    result = here("stats", data, "--html", "stats.html", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "similarity" in result.stdout and result.stdout.endswith("Open stats.html\n")
    first = (tmp_path / "stats.html").read_bytes()
    as_json = here("stats", data, "--html", "stats.html", "--json", cwd=tmp_path)
    assert json.loads(as_json.stdout)["kinds"] == {"center": 16, "object": 16, "quadrant": 64}
    assert (tmp_path / "stats.html").read_bytes() == first
    refused = here("stats", data, "--html", "/proc/stats.html", cwd=tmp_path)
    assert refused.returncode == 2 and "can't be written to" in refused.stderr


def tiles(page: Page) -> dict[str, str]:
    return dict(
        page.locator(".tiles > div").evaluate_all(
            "all => all.map(el => [el.children[0].textContent, el.children[1].textContent])"
        )
    )


def test_the_page_has_all_distributions(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    assert tiles(page) == {
        "samples": "16",
        "skipped": "0",
        "pairs: a sentence and its region": "32",
        "candidate regions": "96",
        "detected regions": "16",
        "captions beyond 77 tokens": "0.0 %",
        "captions beyond 248 tokens": "0.0 %",
    }
    headings = page.locator("h3").all_inner_texts()
    for words in (
        "Similarity of all",
        "Similarity of best",
        "Words",
        "Tokens",
        "Sentences",
        "Candidates",
        "Area",
    ):
        assert any(heading.startswith(words) for heading in headings)
    labels = page.get_by_role("list", name="Detected labels").get_by_role("listitem")
    assert (labels.text_content() or "").split() == ["dog", "16", "regions,", "100.0", "%"]
    page.get_by_text("As a table").first.click()
    rows = page.locator("details").first.locator("tbody tr")
    assert sum(int(count) for count in rows.locator("td:last-child").all_inner_texts()) == 32


def test_pairs_come_with_the_crop_of_their_region_and_their_sentence(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    worst, best = (
        page.get_by_role("region", name=name).get_by_role("listitem") for name in ("Worst pairs", "Best pairs")
    )
    assert worst.count() == best.count() == MOST_PAIRS
    expect(worst.first).to_contain_text("Nothing stirs.")
    expect(worst.first).to_contain_text("-0.10")
    expect(best.first).to_contain_text("Dog number 15 sits.")
    picture = best.first.get_by_role("img", name="dog in image 000000015")
    url = picture.get_attribute("src") or ""
    assert Image.open(BytesIO(b64decode(url.partition(",")[2]))).size == (41, 50)
    assert page.get_by_text("onerror=alert(1)").text_content() == HOSTILE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_named_and_fits(scheme: str, page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, width=360, color_scheme=scheme)
    assert_readable(page)
    assert_named(page)
    assert_fits(page)


def test_without_pairs_it_counts_captions_and_what_was_skipped(tmp_path: Path, open_page: Open) -> None:
    data = write(tmp_path / "data", map(sample_with_jpeg, range(3)), stage="ingest")
    store, manifest = open_dataset(data)
    assert manifest.totals["samples"] == 3
    manifest.skipped["image_<empty>"] = 2
    write_statistics(store, manifest, str(tmp_path / "page.html"))
    page = open_page(tmp_path / "page.html")
    assert page.locator("h3").all_inner_texts() == ["Words per caption", "Tokens per caption", "Skipped by reason"]
    expect(page.get_by_role("listitem")).to_contain_text("image_<empty>")
    assert page.locator("img").count() == 0


def test_an_empty_dataset_has_a_page(tmp_path: Path) -> None:
    store, manifest = open_dataset(write(tmp_path / "data", []))
    assert re.search(rb"<dd class=\"figures\">0</dd>", statistics_page("data", manifest, Figures()))
    assert store.exists()
