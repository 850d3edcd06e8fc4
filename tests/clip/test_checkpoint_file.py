"""Files with weights, of every kind and wrapping that trainings write; and what is none."""

import argparse
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from glitbuild.clip.checkpoint_file import read_checkpoint
from glitbuild.clip.facts import Facts
from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ModelError

State = dict[str, Any]

SMALL: State = {
    "logit_scale": torch.tensor(1.0),
    "visual.proj": torch.ones(2, 3),
    "text.token_embedding.weight": torch.ones(4, 2),
    "positional_embedding": torch.ones(77, 2),
}


def prefixed(prefix: str) -> State:
    return {prefix + name: value for name, value in SMALL.items()}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


WRAPPINGS: list[Any] = [
    SMALL,
    prefixed("module."),
    prefixed("_orig_mod."),
    prefixed("module._orig_mod."),
    {name.replace("visual.", "visual._orig_mod."): value for name, value in SMALL.items()},
    {
        "state_dict": prefixed("module."),
        "epoch": 3,
        "name": "run",
        "optimizer": {"state": {0: {"step": torch.ones(1)}}},
    },
    {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.4", "hyper_parameters": {"lr": 1e-4}},
    {"model": SMALL, "optimizer": {"state": {}}, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.7)},
    {"model_state_dict": prefixed("clip."), "best": np.float32(0.7), "epoch": torch.tensor(3)},
    {"model": {"state_dict": SMALL}, "step": 10},
    {"module": prefixed("module.")},
    prefixed("module.") | {"n_averaged": torch.tensor(9)},
    SMALL | {"epoch": 7},
]


@pytest.mark.parametrize("content", WRAPPINGS, ids=range(len(WRAPPINGS)))
@pytest.mark.parametrize("new", [True, False])
def test_the_weights_are_found_in_whatever_wraps_them(content: Any, new: bool, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "weights.pt", _use_new_zipfile_serialization=new)
    state = read_checkpoint(tmp_path / "weights.pt", "--pretrained").state
    assert state.keys() == SMALL.keys()
    assert all(torch.equal(value, SMALL[name]) for name, value in state.items())


def test_the_content_tells_what_a_file_is_not_its_name(tmp_path: Path) -> None:
    save_file(SMALL, tmp_path / "weights.pt")
    saved(tmp_path / "weights.safetensors", SMALL)
    for name in ("weights.pt", "weights.safetensors"):
        assert read_checkpoint(tmp_path / name, "--pretrained").state.keys() == SMALL.keys()


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    content = {"state_dict": prefixed("model.") | {"head.weight": torch.ones(1)}, "state_dict_ema": SMALL}
    found = read_checkpoint(saved(tmp_path / "weights.pt", content), "--pretrained")
    assert found.left_out == ("state_dict_ema", "head.weight")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"model": SMALL, "model_ema": SMALL}, "several models: model, model_ema"),
        (prefixed("online.") | prefixed("momentum."), r"several models, with the prefixes momentum\., online\."),
        ({"epoch": 3}, "no weights"),
        ([1, 2], "it holds a list"),
        (torch.ones(3), "it holds a Tensor"),
        (torch.nn.Linear(2, 2), r"a pickle of Python objects \(torch\.nn\.modules\.linear\.Linear\)"),
        ({"vision_model.embeddings.weight": torch.ones(1)}, "weights of a transformers model"),
        (
            SMALL | {"positional_embedding_res": torch.ones(248, 2)},
            "positional_embedding and positional_embedding_res differ in shape",
        ),
    ],
)
def test_what_holds_no_clip_or_several_is_named(content: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"^--pretrained: .*{says}"):
        read_checkpoint(saved(tmp_path / "weights.pt", content), "--pretrained")


class Malicious:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return print, ("this must not run",)


@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_that_could_run_code_is_not_loaded(
    plain: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pt"
    if plain:
        path.write_bytes(pickle.dumps({"state_dict": Malicious()}, protocol=2))
    else:
        saved(path, SMALL | {"extra": Malicious()})
    with pytest.raises(ModelError, match=r"--pretrained: a pickle of Python objects \((\w+\.)?print\)"):
        read_checkpoint(path, "--pretrained")
    assert "must not run" not in capsys.readouterr().out


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", "-old.pt"])
def test_a_file_that_is_cut_off_is_named(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(SMALL, path)
    else:
        torch.save(SMALL, path, _use_new_zipfile_serialization="old" not in suffix)
    cut(path)
    with pytest.raises(ModelError, match="--pretrained: truncated, damaged or not a checkpoint"):
        read_checkpoint(path, "--pretrained")


@pytest.mark.parametrize(
    ("said", "quick"),
    [
        ({"args": argparse.Namespace(model="ViT-B-32", force_quick_gelu=True)}, True),
        ({"args": argparse.Namespace(model="ViT-B-32-quickgelu", force_quick_gelu=False)}, True),
        ({"args": {"model": "ViT-B/32", "force_quick_gelu": False, "pretrained": ""}}, False),
        ({"args": {"model": "ViT-B-32", "force_quick_gelu": False, "pretrained": "openai"}}, None),
        ({"hyper_parameters": {"quick_gelu": True}}, True),
        ({"name": "2024_01_01-12_00_00-model_ViT-B-32-quickgelu-lr_0.0005-b_128"}, True),
        ({"name": "2024_01_01-12_00_00-model_ViT-B-32-lr_0.0005-b_128"}, None),
        ({"quick_gelu": False}, False),
        ({"model_cfg": {"embed_dim": 2, "vision_cfg": {}, "text_cfg": {}, "quick_gelu": True}}, True),
    ],
)
def test_what_a_checkpoint_says_beside_its_weights_decides(said: State, quick: bool | None, tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", {"state_dict": SMALL} | said)
    if quick is None:
        with pytest.raises(ModelError, match="--force-quick-gelu"):
            ClipSpec.parse("ViT-B-32", str(path))
    else:
        assert ClipSpec.parse("ViT-B-32", str(path)).facts.quick_gelu is quick


def test_the_metadata_of_safetensors_decides(tmp_path: Path) -> None:
    config = {
        "model_cfg": {"embed_dim": 2, "vision_cfg": {}, "text_cfg": {}, "quick_gelu": True},
        "preprocess_cfg": {
            "mean": [0.5] * 3,
            "std": [0.5] * 3,
            "interpolation": "bilinear",
            "resize_mode": "squash",
        },
    }
    for number, metadata in enumerate(
        ({"open_clip_config": json.dumps(config)}, {n: json.dumps(v) for n, v in config.items()})
    ):
        save_file(SMALL, tmp_path / f"{number}.safetensors", metadata=metadata)
        facts = ClipSpec.parse("ViT-L-14", str(tmp_path / f"{number}.safetensors")).facts
        assert facts == Facts(True, (0.5,) * 3, (0.5,) * 3, "bilinear", "squash")
    save_file(SMALL, tmp_path / "2.safetensors", metadata={"quick_gelu": "True", "format": "pt"})
    assert ClipSpec.parse("ViT-L-14", str(tmp_path / "2.safetensors")).facts.quick_gelu


def test_what_was_decided_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = saved(tmp_path / "weights.pt", {"state_dict": SMALL, "state_dict_ema": SMALL})
    with caplog.at_level(logging.INFO, "glitbuild"):
        ClipSpec.parse("ViT-B-32", str(path), Facts(True))
    assert "read with force_quick_gelu True" in caplog.text
    assert "state_dict_ema" in caplog.text
