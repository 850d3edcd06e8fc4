from dataclasses import replace
from pathlib import Path

import pytest

from glitbuild.pipeline import load_pipeline
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.formats.corpora import CORPORA
from glitbuild.stages.ingest.options import IngestOptions
from tests.stages.ingest.formats.layouts import lay_out

RECIPES = Path(__file__).parents[4] / "pipelines" / "corpora"


@pytest.mark.parametrize("name", CORPORA)
def test_the_recipe_reads_the_official_layout(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    options = load_pipeline(str(RECIPES / f"{name}.yaml"))[0].options
    assert isinstance(options, IngestOptions) and options.format == name
    manifest = run_ingest(replace(options, out="out")).manifest
    assert manifest.totals["samples"] and not manifest.totals["skipped"]
    assert manifest.sources and list(manifest.sources["dataset"]) == [name]
    assert list(validate(*open_dataset("out"))) == []
