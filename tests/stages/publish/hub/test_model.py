"""A run or an export on the Hub: which files, and what the card says."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from glitbuild.errors import ConfigError, DatasetError
from glitbuild.stages.publish.hub.command import PushOptions, plan_push
from glitbuild.stages.publish.hub.remote import CARD, Contents
from tests.run import here
from tests.stages.publish.hub_server import Hub
from tests.tiny_models import CLIP_CFG

REPO = "anna/clip"
RUN: dict[str, Any] = {
    "schema": "glit-run/1",
    "config": {
        "model": "base",
        "pretrained": "sha256:00",
        "epochs": 3,
        "warmup": 0.0,
        "stage": "train",
    },
    "done": {"steps": 12, "samples": 40},
}
FIGURES: dict[str, Any] = {
    "schema": "glit-eval/1",
    "model": {"name": "glit", "context_length": 248},
    "dataset": {"name": "docci-test", "samples": 50, "images": 50},
    "suites": {
        "retrieval": {"figures": {"text_to_image": {"R@1": 61.25, "R@5": 80.0}, "image_to_text": {"R@1": 60.5}}},
        "localization": {"figures": {"chance": {"hit@5": 31.0}}},
        "joint": {"figures": {"text_to_image": {"mAP@10": 44.0}}},
    },
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run, with all that may lie in its folder."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = {"model_cfg": CLIP_CFG, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    (folder / "run.json").write_text(json.dumps(RUN))
    (folder / "log.jsonl").write_text('{"step": 1}\n')
    (folder / "notes.json").write_text("[]")
    for name in ("checkpoints", "tensorboard"):
        (folder / name).mkdir()
        (folder / name / "000001.pt").write_bytes(b"large")
    return folder


def names(contents: Contents) -> list[str]:
    return sorted(entry.name for entry in contents)


def card_of(contents: Contents) -> ModelCard:
    (card,) = [entry for entry in contents if entry.name == CARD]
    assert card.data
    return ModelCard(card.data.decode())


FILES = ["README.md", "log.jsonl", "open_clip_config.json", "open_clip_model.safetensors", "run.json"]


def test_a_run_without_its_checkpoints(run: Path) -> None:
    contents = plan_push(PushOptions(str(run), REPO, license="mit"))
    assert names(contents) == FILES
    assert [entry.name for entry in contents.first] == ["open_clip_model.safetensors"]
    card = card_of(contents)
    assert card.data.library_name == "open_clip"
    assert card.data.pipeline_tag == "zero-shot-image-classification"
    assert card.data.license == "mit"
    assert card.data.base_model is None
    assert "texts of up to 248 tokens" in card.text
    assert "| model | base |" in card.text
    assert "| steps | 12 |" in card.text
    assert "hf-hub:anna/clip" in card.text
    assert "transformers" not in card.text


def test_figures_given_and_figures_in_the_folder(run: Path, tmp_path: Path) -> None:
    (run / "test.json").write_text(json.dumps(FIGURES))
    other = FIGURES | {"dataset": FIGURES["dataset"] | {"name": "coco"}}
    (tmp_path / "figures.json").write_text(json.dumps(other))
    contents = plan_push(PushOptions(str(run), REPO, eval=str(tmp_path / "figures.json")))
    assert names(contents) == sorted([*FILES, "eval.json", "test.json"])
    card = card_of(contents)
    assert "On docci-test: 50 captions, 50 images, 248 tokens." in card.text
    assert "| text to image | 61.25 | 80.00 |" in card.text
    assert "| image to text | 60.50 |  |" in card.text
    results = [result for result in card.data.eval_results if result.dataset_name == "docci-test"]
    assert [(result.metric_type, result.metric_value) for result in results] == [
        ("recall@1", 61.25),
        ("recall@5", 80.0),
        ("recall@1", 60.5),
        ("map@10", 44.0),
    ]
    assert {result.dataset_name for result in card.data.eval_results} == {"docci-test", "coco"}


def test_figures_that_are_none(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        plan_push(PushOptions(str(run), REPO, eval=str(tmp_path / "figures.json")))
    (tmp_path / "figures.json").write_text("[]")
    with pytest.raises(ConfigError, match="not a file of metrics"):
        plan_push(PushOptions(str(run), REPO, eval=str(tmp_path / "figures.json")))
    (tmp_path / "figures.json").write_text("{")
    with pytest.raises(DatasetError, match="not JSON"):
        plan_push(PushOptions(str(run), REPO, eval=str(tmp_path / "figures.json")))


def test_a_run_that_is_not_finished(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({"schema": "glit-run/1", "config": {}}))
    with pytest.raises(ConfigError, match="isn't finished"):
        plan_push(PushOptions(str(run), REPO))
    (run / "run.json").write_text(json.dumps(RUN))
    (run / "open_clip_config.json").unlink()
    with pytest.raises(ConfigError, match="contains no model"):
        plan_push(PushOptions(str(run), REPO))


def test_an_export_for_transformers(tmp_path: Path) -> None:
    files = {"config.json": '{"text_config": {"max_position_embeddings": 248}}', "model.safetensors": "weights"}
    files |= {"tokenizer.json": "{}", "preprocessor_config.json": "{}"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    contents = plan_push(PushOptions(str(tmp_path), REPO))
    assert names(contents) == sorted([CARD, *files])
    card = card_of(contents)
    assert card.data.library_name == "transformers"
    assert "CLIPModel.from_pretrained" in card.text
    assert "open_clip" not in card.text
    assert "texts of up to 248 tokens" in card.text
    assert "fine-tuned" not in card.text


@pytest.mark.slow
def test_a_run_arrives(hub: Hub, run: Path) -> None:
    for said in ("verified", "all files were already there"):
        result = here("push", run, REPO, cwd=run)
        assert said in result.stdout, result.stderr
    files = hub.repos["model", REPO].refs["main"].files
    assert sorted(files) == [".gitattributes", *FILES]
    for name in FILES[1:]:
        assert files[name].content == (run / name).read_bytes()
    assert set(hub.received.values()) == {1}
