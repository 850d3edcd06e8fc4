"""The notebooks run from their first cell to their last, and print and show what is stored in them."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.slow


def shown(notebook: Any) -> tuple[list[str], int]:
    """Return what a notebook has printed, and how many pictures it shows."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    printed = [output.text for output in outputs if output.output_type == "stream" and output.name == "stdout"]
    return printed, sum("image/png" in output.get("data", {}) for output in outputs)


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["fine_tune", "match_one_picture"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    stored = shown(notebook)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed, pictures = shown(notebook)
    assert pictures == stored[1] > 0
    assert len(printed) == len(stored[0]) > 0
