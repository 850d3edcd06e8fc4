"""What a page must be for everyone: readable, named, no wider than the screen."""

import re

from playwright.sync_api import Page

CONTROLS = "button|checkbox|combobox|searchbox|spinbutton|link|img|region|article"

FAINT = """
() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const paint = (...colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(getComputedStyle(at).backgroundColor);
    return layers;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint = [];
  let seen = 0;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("script, title, .unseen, .skip, svg")) continue;
    if (!element.checkVisibility()) continue;
    seen += 1;
    const ground = behind(element);
    const [a, b] = [light(paint(...ground)), light(paint(...ground, getComputedStyle(element).color))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faint.push(`${contrast.toFixed(2)} ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return {seen, faint};
}
"""


def assert_readable(page: Page) -> None:
    """See that every text has a contrast of 4.5 to 1 with what is behind it."""
    found = page.evaluate(FAINT)
    assert found["seen"] > 10
    assert found["faint"] == []


def assert_named(page: Page) -> None:
    """See that everything a screen reader can stop at has a name."""
    lines = page.locator("body").aria_snapshot().splitlines()
    stops = [line for line in lines if re.match(rf"\s*- ({CONTROLS})\b", line)]
    assert len(stops) > 5
    nameless = [line for line in stops if '"' not in line]
    assert nameless == []


def assert_fits(page: Page) -> None:
    """See that nothing has to be scrolled sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
