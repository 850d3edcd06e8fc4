"""What the cards tell people to run is run, by the libraries themselves, against what was pushed."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from glitbuild.stages.publish.hub.model import base_model
from tests.run import here
from tests.stages.publish.hub.folders import REPO, make_dataset
from tests.stages.publish.hub_server import Hub
from tests.tiny_models import save_clip

pytestmark = pytest.mark.slow


def run_card(hub: Hub, kind: str) -> list[str]:
    """Run the Python of a card, and return what each block of it printed."""
    card = hub.repos[kind, REPO].refs["main"].files["README.md"].content.decode()
    printed = []
    for block in re.findall(r"^```python\n(.*?)^```$", card, flags=re.M | re.S):
        output = io.StringIO()
        with redirect_stdout(output):
            exec(compile(block, "the card", "exec"), {"__name__": "__main__"})
        printed.append(output.getvalue())
    return printed


@pytest.mark.parametrize("matched", [True, False])
def test_three_ways_to_load_a_dataset(matched: bool, downloads: Hub, tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", 2, matched)
    assert here("push", tmp_path / "data", REPO, cwd=tmp_path).returncode == 0
    first, second, third = run_card(downloads, "dataset")
    caption = "A dog sits. A red ball lies on the left."
    assert f"(32, 24) {caption}\n" in first
    assert second == f"000000000 (32, 24) {caption}\n"
    if matched:
        assert "A dog sits. [0.0, 0.0, 16.0, 12.0]" in first
        assert re.search(r"000000001 +A red ball lies on the left. +0.251", third)
    else:
        assert third == f"{caption}\n"
    assert downloads.requests["resolve"]


def test_two_ways_to_load_a_model(downloads: Hub, tmp_path: Path) -> None:
    save_clip(tmp_path / "run")
    export = ["export", "run", "--to", "exported", "--format", "hf"]
    assert here(*export, cwd=tmp_path).returncode == 0
    for path in (tmp_path / "exported").iterdir():
        path.rename(tmp_path / "run" / path.name)
    assert here("push", "run", REPO, cwd=tmp_path).returncode == 0
    printed = run_card(downloads, "model")
    assert [text.count("tensor([[") for text in printed] == [1, 1]
    assert downloads.requests["resolve"]


def test_the_model_that_a_training_began_with() -> None:
    assert base_model({"model": "ViT-B-16", "pretrained": "openai"}) == "timm/vit_base_patch16_clip_224.openai"
    assert base_model({"model": "ViT-B-16", "pretrained": "sha256:00"}) is None
    assert base_model({}) is None
