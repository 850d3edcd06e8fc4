"""The table in docs/models.md is what the installed open_clip's architectures can be used for."""

import re

import open_clip
import pytest

from glitbuild.demo_models.clip import NAME as DEMO_ARCHITECTURE
from tools.architectures import BEGIN, END, PAGE, examine, table

pytestmark = pytest.mark.slow

NAMES = ["ViT-B-16", "RN50", "coca_ViT-B-32", "ViT-B-16-SigLIP", "MobileCLIP-S1", "EVA02-B-16", "roberta-ViT-B-32"]


def rows() -> dict[str, list[str]]:
    """Return the table's cells by architecture, with the reasons instead of their numbers."""
    written = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    return cells(written)


def cells(text: str) -> dict[str, list[str]]:
    reasons = dict(re.findall(r"^\[(\d+)\] (.*?)\\?$", text, flags=re.M))
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    named = [[re.sub(r"^no \[(\d+)\]$", lambda found: reasons[found[1]], cell) for cell in line] for line in lines]
    return {name: others for name, *others in named}


def test_it_names_every_architecture() -> None:
    assert list(rows()) == [name for name in open_clip.list_models() if name != DEMO_ARCHITECTURE]


@pytest.mark.parametrize("name", NAMES)
def test_its_rows_are_what_the_networks_are(name: str) -> None:
    assert cells(table([examine(name)]))[name] == rows()[name]
