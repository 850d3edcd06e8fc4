import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from glitbuild.cli import cli
from glitbuild.errors import ConfigError
from glitbuild.pipeline import load_pipeline
from glitbuild.shards.schemas import schema
from glitbuild.stages.caption.options import CaptionOptions
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.export.command import ExportOptions
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.publish.hub.command import PushOptions
from glitbuild.stages.publish.page.preview import PreviewOptions
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.options import TrainOptions
from tests.factories import jpeg
from tests.run import done, here

RECIPES = sorted((Path(__file__).parents[1] / "pipelines").rglob("*.yaml"))
STAGES: dict[str, Any] = {
    "ingest": IngestOptions,
    "caption": CaptionOptions,
    "match": MatchOptions,
    "scenes": ScenesOptions,
    "train": TrainOptions,
    "eval": EvalOptions,
    "export": ExportOptions,
    "preview": PreviewOptions,
    "push": PushOptions,
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_options_of_its_command(stage: str) -> None:
    properties = schema("pipeline")["properties"]["stages"]["items"]["properties"]
    of_schema = set(properties[stage]["properties"])
    of_command = {parameter.name for parameter in cli.commands[stage].params} - {"log_json", "verbose"}
    assert of_schema == of_command == {field.name for field in fields(STAGES[stage])}
    assert set(properties) == set(STAGES)


def test_the_defaults_are_those_of_the_command() -> None:
    endpoint = {"endpoint": "http://localhost/v1", "model": "m"}
    made = ("scenes", "ingest", "caption", "match", "train")
    given = {"scenes": ["--count", "3"], "caption": ["a", *(f"--{key}={value}" for key, value in endpoint.items())]}
    parsed = {
        stage: cli.commands[stage].make_context(stage, [*given.get(stage, ["a"]), "--out", "b"]).params
        for stage in made
    }
    for params in parsed.values():
        assert not params.pop("log_json") and not params.pop("verbose")
    assert IngestOptions(**parsed["ingest"]) == IngestOptions(source=("a",), out="b")
    assert CaptionOptions(**parsed["caption"]) == CaptionOptions(dir="a", out="b", **endpoint)
    assert MatchOptions(**parsed["match"]) == MatchOptions(dir="a", out="b")
    assert ScenesOptions(**parsed["scenes"]) == ScenesOptions(count=3, out="b")
    assert TrainOptions(**parsed["train"]) == TrainOptions(dir="a", out="b")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_fit_the_schema(path: Path) -> None:
    assert load_pipeline(str(path))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stages: [", "not YAML"),
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
