"""The page as people use it: in a browser, with a pointer, with keys, with a screen reader."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview
from tests.factories import sample_with_jpeg
from tests.stages.publish.page.conftest import Open
from tests.stages.publish.page.datasets import scene, write
from tests.stages.publish.page.looks import assert_fits, assert_named, assert_readable

pytestmark = pytest.mark.slow

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "</title></style><script>alert(2)</script>",
    "\" onclick='alert(3)' ' {{ 7*7 }} {% raw %} ${alert(4)}",
    "&lt;b&gt; &amp;amp; <!-- --> ]]>",
    "\u202egnorts\u202c \u2066 \u200f \u2028 \u2029 \ufeff.",
    "👩‍👩‍👧 🐕 e\u0301 İstanbul ﬁve.",
    "x" * 10_000,
)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples: a dog twice and in between a cat, each beside a default region or two."""
    folder = tmp_path_factory.mktemp("page")
    samples = [
        scene(0, [("A dog sits.", 5, 0.3), ("The sky is grey.", 1, 0.1), ("It wears a red collar.", 5, 0.2)]),
        scene(1, [("A cat sleeps.", 5, 0.4), ("Nothing stirs.", 4, -0.05)], "cat"),
        scene(2, [("The sky is blue.", 0, 0.25), ("A dog runs.", 5, 0.15)]),
    ]
    run_preview(PreviewOptions(write(folder / "data", samples), str(folder / "page.html")))
    return folder / "page.html"


@pytest.fixture(scope="module")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    sample, jpeg = scene(0, [(text, 5, index / 100) for index, text in enumerate(HOSTILE)], HOSTILE[0])
    source = replace(sample.source, dataset=HOSTILE[1], id=HOSTILE[2], license=HOSTILE[0])
    data = write(folder / "data", [(replace(sample, source=source), jpeg)])
    run_preview(PreviewOptions(data, str(folder / "page.html")))
    return folder / "page.html"


def sample_of(page: Page, number: int) -> Locator:
    return page.locator(".sample").nth(number)


def lit(page: Page) -> list[str]:
    """What is lit: of regions their title, of sentences their text."""
    return page.locator(".lit").evaluate_all("all => all.map(el => el.querySelector('title, .text').textContent)")


def left(page: Page) -> list[str]:
    """The keys of the samples that the filter leaves; and what is said of them is true."""
    found = page.locator("h2:visible").evaluate_all("all => all.map(el => el.lastChild.textContent.slice(-1))")
    expect(page.locator("output")).to_have_text("3 samples" if len(found) == 3 else f"{len(found)} of 3 samples")
    return found


DOG = "dog, detected with 0.75; sentences 1, 3; best pair"


def test_pointing_at_a_sentence_lights_its_region(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    assert lit(page) == []
    page.get_by_text("It wears a red collar.").hover()
    assert lit(page) == [DOG, "A dog sits.", "It wears a red collar."]
    expect(sample_of(page, 0).locator(".dim")).to_be_visible()
    page.get_by_text("Nothing stirs.").hover()
    assert lit(page) == ["centre; sentence 2", "Nothing stirs."]
    expect(sample_of(page, 0).locator(".dim")).not_to_be_visible()
    page.locator("h1").hover()
    assert lit(page) == []


def test_pointing_at_a_region_lights_its_sentences_the_smallest_first(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    box = sample_of(page, 0).locator("image").bounding_box()
    assert box
    unit = box["width"] / 120
    page.mouse.move(box["x"] + 30 * unit, box["y"] + 45 * unit)  # in the dog's box, which quadrants contain
    assert lit(page) == [DOG, "A dog sits.", "It wears a red collar."]
    page.mouse.move(box["x"] + 110 * unit, box["y"] + 10 * unit)
    assert lit(page) == ["upper right quadrant; sentence 2", "The sky is grey."]
    page.mouse.move(box["x"] + 110 * unit, box["y"] + 80 * unit)  # no sentence is about this quadrant
    assert lit(page) == []


def test_the_keyboard_lights_and_keeps(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    page.keyboard.press("j")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert lit(page)[0] == DOG  # the quadrant first, being larger
    page.keyboard.press("Enter")
    region = sample_of(page, 0).get_by_role("button", name="dog, detected")
    expect(region).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert lit(page) == ["upper right quadrant; sentence 2", "The sky is grey."]
    page.keyboard.press("Shift+Tab")
    page.evaluate("document.activeElement.blur()")
    assert lit(page)[0] == DOG
    page.keyboard.press("Escape")
    assert lit(page) == []
    expect(region).to_have_attribute("aria-pressed", "false")


def test_a_click_keeps_and_another_lets_go(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    sentence = page.get_by_text("A cat sleeps.")
    sentence.click()
    page.locator("h1").hover()
    assert lit(page) == ["cat, detected with 0.75; sentence 1; best pair", "A cat sleeps."]
    sentence.click()
    page.locator("h1").hover()
    assert lit(page) == []


def test_j_and_k_go_from_sample_to_sample(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    focused = "document.activeElement.querySelector('h2')?.textContent"
    seen = []
    for key in "jjjjkk":
        page.keyboard.press(key)
        seen.append(page.evaluate(focused)[-1])
    assert seen == ["0", "1", "2", "2", "1", "0"]
    page.get_by_role("searchbox").fill("dog")
    page.keyboard.press("j")  # a letter of the text, not a key
    assert page.get_by_role("searchbox").input_value() == "dogj"
    page.get_by_role("searchbox").fill("dog")
    sample_of(page, 0).focus()
    page.keyboard.press("j")
    assert page.evaluate(focused)[-1] == "2"  # the one that is hidden is passed over
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_filters_leave_samples_with_such_a_pair(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    text, pairs = page.get_by_role("searchbox"), page.get_by_label("Pairs")
    low, high = page.get_by_label("Similarity from"), page.get_by_label("Similarity to")
    kind = {name: page.get_by_role("checkbox", name=name) for name in ("object", "quadrant", "centre")}
    assert left(page) == ["0", "1", "2"]
    text.fill("SKY")
    assert left(page) == ["0", "2"]
    assert page.locator(".found .text").all_inner_texts() == ["The sky is grey.", "The sky is blue."]
    pairs.select_option("best")
    assert left(page) == ["2"]
    text.fill("")
    kind["object"].check()
    assert left(page) == ["0", "1"]
    pairs.select_option("")
    kind["object"].uncheck()
    kind["centre"].check()
    assert left(page) == ["1"]
    kind["quadrant"].check()
    assert left(page) == ["0", "1", "2"]
    low.fill("0.2")
    assert left(page) == ["2"]
    page.get_by_role("button", name="Reset").click()
    assert left(page) == ["0", "1", "2"]
    high.fill("0")
    assert left(page) == ["1"]
    high.fill("")
    text.fill("cat")  # a label
    assert left(page) == ["1"]
    text.fill("000000002")
    assert left(page) == ["2"]
    text.fill("no such words")
    expect(page.get_by_text("No sample matches the filter.")).to_be_visible()
    assert left(page) == []
    text.press("Enter")  # nothing is sent anywhere
    assert page.url.startswith(page_file.as_uri())


def test_the_address_keeps_the_filter(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    page.get_by_role("searchbox").fill("sky is")
    page.get_by_role("checkbox", name="quadrant").check()
    page.get_by_label("Theme").select_option("dark")
    address = page.url
    assert left(page) == ["0", "2"]
    again = open_page(page_file, address[address.index("#") :])
    assert left(again) == ["0", "2"]
    assert again.get_by_role("checkbox", name="quadrant").is_checked()
    assert again.locator("html").get_attribute("data-theme") == "dark"
    again.get_by_role("button", name="Reset").click()
    expect(again.locator("output")).to_have_text("3 samples")
    assert again.url == page_file.as_uri()
    again.goto(f"{page_file.as_uri()}#text=cat")
    assert left(again) == ["1"]
    again.keyboard.press("Tab")
    again.get_by_role("link", name="Skip to the samples").press("Enter")
    assert left(again) == ["1"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_readable_in_both_themes(scheme: str, page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, color_scheme=scheme, reduced_motion="reduce")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert_readable(page)
    for number in range(3):
        sample_of(page, number).locator(".sentence").first.hover()
        assert_readable(page)
    page.get_by_label("Theme").select_option("light" if scheme == "dark" else "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    assert_readable(page)


def test_a_screen_reader_hears_which_sentence_has_which_region(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    assert_named(page)
    names = [
        "Sentence 1 A dog sits. , ★ best pair , best region: dog , similarity 0.30",
        "Sentence 2 The sky is grey. , best region: upper right quadrant , similarity 0.10",
    ]
    for name in names:
        expect(sample_of(page, 0).get_by_role("button", name=name)).to_have_count(1)
    expect(page.get_by_role("article", name="Sample 000000001")).to_have_count(1)
    expect(page.get_by_role("img", name="Image 000000001")).to_have_count(1)
    assert page.locator("output").get_attribute("aria-live") == "polite"


def test_the_best_pair_is_marked_by_more_than_colour(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    assert page.locator(".sentence.best .text").all_inner_texts() == [
        "A dog sits.",
        "A cat sleeps.",
        "The sky is blue.",
    ]
    assert page.locator(".region.best .tag text").all_text_contents() == ["★ 1 3", "★ 1", "★ 1"]
    thin, thick = (
        sample_of(page, 0).locator(selector).evaluate("el => parseFloat(getComputedStyle(el).strokeWidth)")
        for selector in (".region:not(.best):not(.unused) .edge", ".region.best .edge")
    )
    assert thick > thin
    dashes = "el => getComputedStyle(el).strokeDasharray"
    assert sample_of(page, 0).locator(".region.best .edge").evaluate(dashes) == "none"
    assert sample_of(page, 2).locator(".region.best .edge").evaluate(dashes) != "none"  # a quadrant


def test_other_candidates_are_shown_on_request(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file)
    unused = sample_of(page, 0).locator(".region.unused")
    assert unused.count() == 4
    expect(unused.first).not_to_be_visible()
    page.get_by_role("checkbox", name="other candidates").check()
    expect(unused.first).to_be_visible()
    assert_readable(page)


def test_captions_are_text_never_markup(hostile_file: Path, open_page: Open) -> None:
    page = open_page(hostile_file)
    texts = page.locator(".sentence .text").evaluate_all("all => all.map(el => el.textContent)")
    assert texts == list(HOSTILE)
    assert page.locator(".sentence .name bdi").first.text_content() == HOSTILE[0]
    assert (page.locator(".source").text_content() or "").startswith(HOSTILE[1])
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    page.get_by_role("searchbox").fill("</SCRIPT><img")
    expect(page.locator("output")).to_have_text("1 sample")


def test_what_the_page_does_not_hold_cannot_run(hostile_file: Path, browser_page: Page) -> None:
    refused: list[str] = []
    browser_page.on("console", lambda message: refused.append(message.text))
    browser_page.goto(hostile_file.as_uri())
    browser_page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:9/x.png"}));
        }"""
    )
    assert browser_page.evaluate("window.ran") is None
    assert len(refused) == 2 and all("Content Security Policy" in text for text in refused)


@pytest.mark.parametrize("width", [320, 700, 1280])
def test_nothing_is_wider_than_the_screen(width: int, hostile_file: Path, open_page: Open) -> None:
    assert_fits(open_page(hostile_file, width=width))


def test_without_pairs_there_are_pictures_captions_and_a_search(tmp_path: Path, open_page: Open) -> None:
    data = write(
        tmp_path / "data",
        [sample_with_jpeg(0), sample_with_jpeg(1, "A cat.\n\nTwo lines."), sample_with_jpeg(2, "")],
        stage="ingest",
    )
    run_preview(PreviewOptions(data, str(tmp_path / "page.html")))
    page = open_page(tmp_path / "page.html")
    assert page.locator(".caption").all_text_contents() == [
        "A dog sits. A red ball lies on the left.",
        "A cat.\n\nTwo lines.",
        "no caption",
    ]
    page.get_by_role("searchbox").fill("ball")
    expect(page.locator("output")).to_have_text("1 of 3 samples")
    assert page.get_by_label("Similarity from").count() == 0
    assert_named(page)
    assert_readable(page)


def test_without_scripts_everything_is_still_there(page_file: Path, open_page: Open) -> None:
    page = open_page(page_file, java_script_enabled=False)
    expect(page.get_by_text("It wears a red collar.")).to_be_visible()
    expect(page.locator("image").first).to_be_visible()
