"""The demo as users run it, with fewer scenes."""

import json
from pathlib import Path

import pytest
from PIL import Image

from glitbuild.demo import command as demo
from glitbuild.demo.command import write_photos
from tests.run import glitbuild, here

pytestmark = pytest.mark.slow


def figures(table: str) -> dict[str, list[str]]:
    """The rows of all tables, by what stands in front."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line]
    return {row[0]: row[1:] for row in rows if row[0]}  # the second line of a long cell has nothing in front


def test_the_demo_is_right_about_most_regions_and_leaves_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SCENES", 32)
    monkeypatch.setattr(demo, "HELD_OUT", 24)
    first = here("demo", "--out", "demo", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    rows = figures(first.stdout)
    stages_run = ["scenes", "scenes --split test", "ingest", "match", "train", "eval", "preview"]
    assert list(rows)[:7] == stages_run
    for name in ("sentences found in the caption", "regions of sentences about one object", "best pairs"):
        assert float(rows[name][0].rstrip("%")) > 70
    assert 0 < float(rows["text to image, R@1"][0]) < 100
    assert "demo/contact-sheet.png" in first.stdout
    assert first.stdout.endswith("Open demo/preview.html\n")
    assert (tmp_path / "demo" / "preview.html").read_text().count("<article") == 32
    assert Image.open(tmp_path / "demo" / "contact-sheet.png").width > 1000
    again = here("demo", "--out", "demo", cwd=tmp_path)
    assert again.stdout.count("already done") == 5
    assert figures(again.stdout)["text to image, R@1"] == rows["text to image, R@1"]


def test_photographs_come_with_long_captions(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write_photos(tmp_path).read_text().splitlines()]
    assert all((tmp_path / row["image"]).stat().st_size > 10_000 for row in rows)
    assert all(len(row["caption"].split()) > 140 for row in rows)


def test_without_a_network_the_real_demo_says_what_is_missing(
    tmp_path: Path, yolo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # or it would try for long, and succeed where there is one
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    (tmp_path / "yolov8n.pt").symlink_to(yolo)
    result = glitbuild("demo", "--real", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("glitbuild: error: --clip-pretrained openai: ")
