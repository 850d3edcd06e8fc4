import json
from pathlib import Path

import pytest

from glitbuild.errors import ConfigError
from glitbuild.pipeline import load_pipeline
from glitbuild.stages.ingest.options import IngestOptions
from tests.factories import jpeg
from tests.run import done, here

RECIPES = sorted((Path(__file__).parents[1] / "pipelines").rglob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_fit_the_schema(path: Path) -> None:
    assert load_pipeline(str(path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stages: [", "not valid YAML"),
        ("", "must be object"),
        ("stages: []", "at least 1"),
        ("stages: [{paint: {}}]", "paint"),
        ("stages: [{ingest: {source: a}}]", "out"),
        ("stages: [{ingest: {source: a, out: b, shard-size: 3}}]", "shard-size"),
        ("stages: [{ingest: {source: a, out: b, shard_size: many}}]", "shard_size"),
        ("stages: [{match: {dir: a, out: b, score: 2}}]", "score"),
        ("stages: [{caption: {dir: a, out: b, endpoint: localhost, model: m}}]", "not an http"),
        ("stages: [{scenes: {count: 3, out: b, kinds: dragon}}]", "unknown kind"),
        ("stages: [{match: {dir: a, out: b, gpus: 1, workers: 1}}]", "both given"),
    ],
)
def test_a_file_that_does_not_fit_is_a_configuration_error(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_pipeline(str(path))


@pytest.mark.slow
def test_run_runs_the_stages_and_passes_over_finished_ones(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg())
    (tmp_path / "photos" / "a.txt").write_text("Noise.")
    (tmp_path / "p.yaml").write_text(
        "stages: [{ingest: {source: photos, out: raw}}, {ingest: {source: [photos], out: two}}]"
    )
    first = done("run", "p.yaml", cwd=tmp_path)
    assert "raw: 1 samples" in first and "two: 1 samples" in first
    assert done("run", "p.yaml", cwd=tmp_path).count("nothing to do") == 2


@pytest.mark.parametrize("written", ["city,views", "[city, views]"])
def test_columns_to_keep_are_a_text_or_a_list(written: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        f"stages: [ingest: {{source: a, out: b, keep_columns: {written if '[' in written else repr(written)}}}]"
    )
    (stage,) = load_pipeline(str(path))
    assert isinstance(stage.options, IngestOptions)
    assert stage.options.keep_columns == ("city", "views")


@pytest.mark.slow
def test_a_recipe_goes_from_scenes_to_an_exported_model(tmp_path: Path) -> None:
    recipe = """
stages:
  - scenes: {count: 4, out: scenes}
  - match: {dir: scenes, out: pairs, detector: demo, clip_model: demo, workers: 0}
  - preview: {dir: pairs, out: preview.html, samples: 2}
  - train: {dir: pairs, out: run, model: demo, epochs: 1, batch_size: 4, loader_workers: 0}
  - eval: {model: run, dir: pairs, suite: retrieval, out: metrics.json}
  - export: {run: run, to: exported, format: open_clip, overwrite: true}
  - push: {path: pairs, repo: anna/birds, license: cc-by-4.0, dry_run: true}
"""
    (tmp_path / "recipe.yaml").write_text(recipe)
    for again in (False, True):
        result = here("run", "recipe.yaml", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert ("nothing to do: run is finished" in result.stdout) == again
        assert "2 of 4 samples" in result.stdout
        assert "exported: 248 tokens" in result.stdout
        assert "nothing was sent" in result.stdout
    assert "retrieval" in json.loads((tmp_path / "metrics.json").read_text())["suites"]
    assert (tmp_path / "exported" / "open_clip_config.json").exists()
    (tmp_path / "recipe.yaml").write_text(recipe.replace("overwrite: true", "overwrite: false"))
    result = here("run", "recipe.yaml", cwd=tmp_path)
    assert result.returncode == 1
    assert "stage 6 (export)" in result.stderr.splitlines()[-1]
