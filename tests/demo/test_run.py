"""The demo as users run it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from glitbuild.demo.photos import write_photos
from tests.run import glitbuild

pytestmark = pytest.mark.slow


def test_the_demo_is_right_about_most_regions_and_leaves_a_picture(tmp_path: Path) -> None:
    first = glitbuild("demo", "--out", "demo", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    rows = {line.split("│")[1].strip(): line for line in first.stdout.splitlines() if line.count("│") == 4}
    assert list(rows)[:3] == ["scenes", "ingest", "match"]
    shares = [float(row.split("│")[2].strip().rstrip("%")) for row in list(rows.values())[-3:]]
    assert all(share > 80 for share in shares)
    assert "Look at demo/contact-sheet.png" in first.stdout
    assert Image.open(tmp_path / "demo" / "contact-sheet.png").width > 1000
    again = glitbuild("demo", "--out", "demo", cwd=tmp_path)
    assert again.stdout.count("were there") == 3


def test_photographs_come_with_long_captions(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write_photos(tmp_path).read_text().splitlines()]
    assert all((tmp_path / row["image"]).stat().st_size > 10_000 for row in rows)
    assert all(len(row["caption"].split()) > 140 for row in rows)


def test_without_a_network_the_real_demo_says_what_is_missing(tmp_path: Path, yolo: Path) -> None:
    (tmp_path / "yolov8n.pt").symlink_to(yolo)
    result = glitbuild("demo", "--real", cwd=tmp_path)
    last = result.stderr.splitlines()[-1]
    if result.returncode == 0:  # there is a network
        assert "contact-sheet.png" in result.stdout
        return
    assert result.returncode == 1
    assert last.startswith("glitbuild: error: --clip-pretrained openai: ")
