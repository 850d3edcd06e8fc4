"""What stands beside a checkpoint, and what open_clip's tables know of its file."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest

from glitbuild.clip.evidence import facts_beside, facts_of_config
from glitbuild.clip.facts import DEFAULTS, OPENAI, UNKNOWN, Facts, facts_of_file, facts_of_tag
from glitbuild.errors import ModelError

HALF = (0.5, 0.5, 0.5)
PARAMS = "model: ViT-B-32\nforce_quick_gelu: {quick}\npretrained: {tag}\nimage_mean: {mean}\nimage_std: {mean}\n"
PARAMS += "image_interpolation: random\nimage_resize_mode: None\nlr: 0.0005\nnote\n"


def beside(path: Path) -> Facts:
    return facts_beside(path, "ViT-B-32", "--pretrained")


def test_an_open_clip_config_says_all() -> None:
    model = {"embed_dim": 2, "vision_cfg": {}, "text_cfg": {}}
    assert facts_of_config({"model_cfg": model}) == DEFAULTS
    preprocess = {"mean": 0.5, "std": [0.5], "interpolation": "bilinear", "resize_mode": "squash", "size": 224}
    config = {"model_cfg": model | {"quick_gelu": True}, "preprocess_cfg": preprocess}
    assert facts_of_config(config) == Facts(True, HALF, HALF, "bilinear", "squash")
    assert facts_of_config({"something": "else"}) == UNKNOWN


@pytest.mark.parametrize(
    ("quick", "tag", "mean", "facts"),
    [
        ("True", "", "None", OPENAI),
        ("False", "", "[0.5, 0.5, 0.5]", replace(DEFAULTS, mean=HALF, std=HALF)),
        ("True", "laion2b_s34b_b79k", "None", OPENAI),
        ("False", "openai", "None", replace(DEFAULTS, quick_gelu=None)),  # versions of open_clip differ in this
        ("True", "/some/file.pt", "None", Facts(True, None, None, "bicubic")),
    ],
)
@pytest.mark.parametrize("place", ["logs/run/checkpoints/epoch_3.pt", "logs/run/epoch_3.pt"])
def test_the_options_of_open_clips_training_are_read(
    quick: str, tag: str, mean: str, facts: Facts, place: str, tmp_path: Path
) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    params = PARAMS.format(quick=quick, tag=tag, mean=mean)
    (tmp_path / "logs" / "run" / "params.txt").write_text(params)
    assert beside(tmp_path / place) == facts


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({"model": "ViT-B-32", "pretrained": "openai"}, OPENAI),
        ({"model": "ViT-L-14", "pretrained": "laion2b_s32b_b82k"}, replace(DEFAULTS, mean=HALF, std=HALF)),
        ({"model": "ViT-B-32", "pretrained": "sha256:1"}, DEFAULTS),
        ({"model": "ViT-B-32", "pretrained": "sha256:1", "force_quick_gelu": True}, OPENAI),
        (
            {"model": "ViT-B-32-quickgelu", "pretrained": "sha256:1", "image_mean": [0.5] * 3},
            replace(OPENAI, mean=HALF),
        ),
        ({"model": "a-run", "pretrained": "sha256:1"}, UNKNOWN),
    ],
)
def test_a_checkpoint_of_a_run_is_read_as_the_run_reads_it(
    config: dict[str, Any], facts: Facts, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"config": {"stage": "train"} | config}))
    assert beside(tmp_path / "checkpoints" / "00000500" / "model.safetensors") == facts


@pytest.mark.parametrize(
    ("config", "processor", "facts"),
    [
        (
            {"model_type": "clip", "vision_config": {}, "text_config": {"hidden_act": "quick_gelu"}},
            {"do_center_crop": True, "image_mean": list(HALF), "image_std": list(HALF), "resample": 3, "size": 224},
            Facts(True, HALF, HALF, "bicubic", "shortest"),
        ),
        (
            {"model_type": "clip", "vision_config": {"hidden_act": "gelu"}, "text_config": {"hidden_act": "gelu"}},
            {
                "do_center_crop": True,
                "image_mean": list(HALF),
                "image_std": list(HALF),
                "size": {"shortest_edge": 224},
            },
            Facts(False, HALF, HALF, "bicubic", "shortest"),
        ),
        ({"model_type": "clip", "vision_config": {}, "text_config": {"hidden_act": "gelu"}}, {}, UNKNOWN),
        ({"model_type": "bert", "vision_config": {}}, {"size": 3}, UNKNOWN),
        (
            {},
            {"image_mean": list(HALF), "image_std": list(HALF), "resample": 2, "size": {"height": 9, "width": 9}},
            Facts(None, HALF, HALF, "bilinear", "squash"),
        ),
    ],
)
def test_the_files_of_transformers_are_read(
    config: dict[str, Any], processor: dict[str, Any], facts: Facts, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    assert beside(tmp_path / "open_clip_pytorch_model.bin") == facts


def test_the_config_of_another_model_in_the_same_folder_says_nothing(tmp_path: Path) -> None:
    for model, facts in (("ViT-L-14", UNKNOWN), ("ViT-B-16", UNKNOWN), ("ViT-B-32", OPENAI)):
        config = {"model_cfg": open_clip.get_model_config(model) | {"quick_gelu": True}}
        (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
        assert beside(tmp_path / "weights.pt") == facts


def test_a_damaged_neighbour_is_named(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"--pretrained: open_clip_config\.json next to it"):
        beside(tmp_path / "weights.pt")


def test_a_file_that_is_a_tags_is_known(tmp_path: Path) -> None:
    openai = open_clip.get_pretrained_cfg("ViT-B-32", "openai")["url"].split("/")[-2]
    other = hashlib.sha256(b"").hexdigest()
    hub = "models--laion--CLIP-ViT-L-14-laion2B-s32B-b82K/snapshots/1/open_clip_pytorch_model.bin"
    for model, name, sha256, facts in (
        ("ViT-B-32", "renamed.pt", openai, OPENAI),
        ("ViT-B-16", "renamed.pt", openai, UNKNOWN),
        ("ViT-B-32", "ViT-B-32.pt", other, UNKNOWN),  # its content is another
        ("ViT-B-32", "any.pt", "d867053b" + other[8:], OPENAI),  # LAION's e31
        ("ViT-B-16", "b16_400m.pt", other, OPENAI),  # MetaCLIP's, whose URL has no digest
        ("ViT-L-14", hub, other, facts_of_tag("ViT-L-14", "laion2b_s32b_b82k")),
        ("ViT-H-14", "DFN5B-CLIP-ViT-H-14/weights.bin", other, facts_of_tag("ViT-H-14", "dfn5b")),
    ):
        assert facts_of_file(model, tmp_path / name, sha256) == facts, name
