"""A checkpoint as a file: read as it was trained, or refused."""

import json
import re
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from glitbuild.clip.facts import Facts
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.saved import save_model
from glitbuild.errors import ConfigError, ModelError
from tests.clip.checkpoints import assert_same, embeddings, loaded, saved, small_architectures, trained

pytestmark = pytest.mark.slow

QUICK, PLAIN = Facts(quick_gelu=True), Facts(quick_gelu=False)
SQUASH = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bilinear", "resize_mode": "squash"}


@pytest.fixture(autouse=True)
def architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    small_architectures(monkeypatch)


def test_weights_that_say_nothing_are_refused_and_the_option_decides(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", trained(quick_gelu=True))
    with pytest.raises(ModelError, match=r"--clip-pretrained .*weights\.pt: .*--force-quick-gelu .*-no-force"):
        ClipSpec.parse("ViT-B-32", str(path))
    assert_same(loaded("ViT-B-32", path, facts=QUICK), trained(quick_gelu=True))
    assert_same(loaded("ViT-B-32", path, facts=PLAIN), trained())
    assert_same(loaded("ViT-B-32-quickgelu", path), trained(quick_gelu=True))
    assert_same(loaded("ViT-B-32-quickgelu", path, facts=PLAIN), trained())
    texts = [embeddings(trained(quick_gelu=quick))[1] for quick in (True, False)]
    assert not torch.allclose(*texts, atol=1e-3)  # so that the comparison sees a wrong activation


@pytest.mark.parametrize(
    ("model", "given", "asked"),
    [
        ("ViT-L-14", Facts(), ("--force-quick-gelu", "--image-mean", "--image-std")),
        ("ViT-L-14", QUICK, ()),  # all of these have OpenAI's preprocessing
        ("ViT-L-14", PLAIN, ("--image-mean", "--image-std")),
        ("ViT-L-14", Facts(False, (0.5, 0.5, 0.5)), ()),  # the deviation follows
        ("ViT-L-14-336", Facts(), ("--force-quick-gelu",)),  # published with the other activation than its name has
        ("ViT-H-14", QUICK, ("--image-resize-mode",)),
        ("ViT-H-14-quickgelu", Facts(), ("--image-resize-mode",)),
        ("ViT-S-32-alt", Facts(), ()),
    ],
)
def test_only_what_known_weights_of_the_architecture_differ_in_is_asked_for(
    model: str, given: Facts, asked: tuple[str, ...], tmp_path: Path
) -> None:
    path = saved(tmp_path / "weights.pt", trained(vision_cfg={"image_size": 96 if "336" in model else 64}))
    if not asked:
        assert not ClipSpec.parse(model, str(path), given).facts.unknown
        return
    with pytest.raises(ModelError) as error:
        ClipSpec.parse(model, str(path), given)
    assert next(word for word in error.value.fix.split() if word.startswith("--")) == asked[0]
    assert all(option in error.value.fix for option in asked)
    named = set(re.findall(r"--image-[a-z-]+", str(error.value)))
    assert named == {name.split()[0] for name in asked if "image" in name}


def test_an_architecture_whose_weights_all_have_one_preprocessing_gets_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", trained())
    for model, mean, mode in (
        ("MobileCLIP-S1", (0.0, 0.0, 0.0), "shortest"),
        ("ViT-B-16-SigLIP", (0.5, 0.5, 0.5), "squash"),
        ("ViT-L-14-CLIPA", (0.485, 0.456, 0.406), "squash"),
    ):
        facts = ClipSpec.parse(model, str(path)).facts
        assert (facts.quick_gelu, facts.mean, facts.resize_mode) == (False, mean, mode)


@pytest.mark.parametrize("quick", [True, False])
def test_an_open_clip_config_beside_the_file_decides_all(quick: bool, tmp_path: Path) -> None:
    known = trained(quick_gelu=quick, preprocess=SQUASH)
    path = saved(tmp_path / "open_clip_pytorch_model.bin", known)
    model_cfg = {"embed_dim": 32, "vision_cfg": {}, "text_cfg": {}} | ({"quick_gelu": True} if quick else {})
    config = {"model_cfg": model_cfg, "preprocess_cfg": SQUASH}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    model = loaded("ViT-B-32", path)
    assert_same(model, known)
    assert Preprocess.of(model) == Preprocess.of(known)
    spec = ClipSpec.parse("ViT-B-32", str(path), Facts(mean=(0.1, 0.2, 0.3)))  # what the user says counts more
    assert (spec.facts.mean, spec.facts.std) == ((0.1, 0.2, 0.3), (0.25, 0.25, 0.25))


def test_what_was_decided_is_part_of_the_identity_whichever_way(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", trained())
    changes = ClipSpec.parse("ViT-B-32", str(path), QUICK).changes
    assert changes == {"force_quick_gelu": True}
    assert ClipSpec.parse("ViT-B-32", str(path), PLAIN).changes == {}
    given = Facts(True, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "bilinear", "squash")
    changes = ClipSpec.parse("ViT-B-32", str(path), given).changes
    assert json.loads(json.dumps(changes)) == changes
    assert list(changes) == [
        *("force_quick_gelu", "image_mean", "image_std", "image_interpolation", "image_resize_mode")
    ]
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(
            {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 2, "size": {"height": 64, "width": 64}}
        )
    )
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "clip", "vision_config": {}, "text_config": {}})
    )
    assert ClipSpec.parse("ViT-B-32", str(path)).changes == changes


def test_a_run_keeps_what_was_decided(tmp_path: Path) -> None:
    known = trained(quick_gelu=True, preprocess=SQUASH)
    path = saved(tmp_path / "weights.pt", known)
    spec = ClipSpec.parse("ViT-B-32", str(path), Facts(True, (0.5,) * 3, (0.25,) * 3, "bilinear", "squash"))
    save_model(tmp_path / "run", spec.load("cpu"), spec.model_cfg())
    again = ClipSpec.parse(str(tmp_path / "run"))
    assert again.changes == spec.changes
    assert_same(again.load("cpu"), known)
    with pytest.raises(ConfigError, match="--image-resize-mode shortest"):
        ClipSpec.parse(str(tmp_path / "run"), facts=Facts(resize_mode="shortest"))
    with pytest.raises(ConfigError, match="--no-force-quick-gelu"):
        ClipSpec.parse(str(tmp_path / "run"), facts=PLAIN)
    assert ClipSpec.parse(str(tmp_path / "run"), facts=QUICK) == again
    # Its weights alone, in another folder, would not tell.
    (tmp_path / "alone").mkdir()
    (tmp_path / "run" / "open_clip_model.safetensors").rename(tmp_path / "alone" / "model.safetensors")
    with pytest.raises(ModelError, match="--force-quick-gelu"):
        ClipSpec.parse("ViT-B-32", str(tmp_path / "alone" / "model.safetensors"))


@pytest.mark.parametrize("pretrained", ["openai", "laion400m_e31"])
def test_options_for_a_tag_are_refused(pretrained: str) -> None:
    with pytest.raises(ConfigError, match="--force-quick-gelu"):
        ClipSpec.parse("ViT-B-32", pretrained, QUICK)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("way", ["script", "trace"])
def test_a_torchscript_file_is_read_with_its_own_activation(quick: bool, way: str, tmp_path: Path) -> None:
    known = trained(quick_gelu=quick)
    if way == "script":
        program: Any = torch.jit.script(known)
    else:
        inputs = {"encode_image": torch.zeros(1, 3, 64, 64), "encode_text": torch.zeros(1, 77, dtype=torch.long)}
        program = torch.jit.trace_module(known, inputs, check_trace=False)
    torch.jit.save(program, tmp_path / "ViT-B-32.pt")
    assert_same(loaded("ViT-B-32", tmp_path / "ViT-B-32.pt"), known)


def test_openais_kind_of_archive_has_quick_gelu(tmp_path: Path) -> None:
    known = trained(quick_gelu=True).half()
    numbers = {"input_resolution": 64, "context_length": 77, "vocab_size": 49408}
    state = known.state_dict() | {name: torch.tensor(value) for name, value in numbers.items()}
    spec = ClipSpec.parse("ViT-L-14", str(saved(tmp_path / "ViT-L-14.pt", state)))
    assert spec.changes == {"force_quick_gelu": True}
    assert_same(spec.load("cpu"), known.float())


@pytest.mark.parametrize("tokens", [40, 77, 128, 248])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_checkpoint_keeps_its_own_length(tokens: int, suffix: str, tmp_path: Path) -> None:
    known, path = trained(tokens=tokens), tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        saved(path, known)
    else:
        save_file(known.state_dict(), path)
    spec = ClipSpec.parse("ViT-B-32", str(path), PLAIN)
    assert spec.changes == ({} if tokens == 77 else {"context_length": tokens})
    model = spec.load("cpu")
    assert model.context_length == tokens
    assert_same(model, known)


def test_a_text_tower_of_its_own_keeps_its_length_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from glitbuild.clip.text import TextEncoder

    known = open_clip.factory._MODEL_CONFIGS
    monkeypatch.setitem(known, "ViT-B-32", known["ViT-B-32"] | {"custom_text": True})
    source = trained(tokens=248, custom_text=True)
    model = loaded("ViT-B-32", saved(tmp_path / "weights.pt", source), facts=PLAIN)
    assert_same(model, source)
    encoder = TextEncoder(model, open_clip.get_tokenizer("ViT-B-32", context_length=248))
    with torch.inference_mode():
        found = encoder.encode(encoder.tokenize(["many words " * 60]), "cpu")
        ids = open_clip.tokenize(["many words " * 60], context_length=248)
        torch.testing.assert_close(found, source.encode_text(ids))


def test_a_folder_whose_config_names_another_length_keeps_that_of_the_weights(tmp_path: Path) -> None:
    known = trained(tokens=248)
    spec = ClipSpec.parse("ViT-B-32", str(saved(tmp_path / "weights.pt", known)), PLAIN)
    save_model(tmp_path / "run", spec.load("cpu"), spec.model_cfg())
    path = tmp_path / "run" / "open_clip_config.json"
    assert '"context_length": 248' in path.read_text()
    path.write_text(path.read_text().replace('"context_length": 248', '"context_length": 77'))
    assert_same(ClipSpec.parse(str(tmp_path / "run")).load("cpu"), known)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_long_clip_file_is_read_as_long_clip_reads_it(wrapped: bool, tmp_path: Path) -> None:
    known = trained(quick_gelu=True, tokens=248)
    positions = known.state_dict()["positional_embedding"].clone()
    state = known.state_dict() | {"positional_embedding_res": positions.clone()}
    state["positional_embedding"] = positions.clone()
    state["positional_embedding"][20:] = 7.0  # its forward takes the first 20 rows of the one,
    state["positional_embedding_res"][:20] = 9.0  # and the others of the other
    if wrapped:
        state = {"state_dict": {f"module.{name}": value for name, value in state.items()}}
    spec = ClipSpec.parse("ViT-L-14", str(saved(tmp_path / "longclip-L.pt", state)))
    assert spec.changes == {"force_quick_gelu": True, "context_length": 248}
    assert_same(spec.load("cpu"), known)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"vision_cfg": {"image_size": 96}},
            r"they are for images of 96 pixels \(6 x 6 patches\), it is for 64 pixels",
        ),
        ({"vision_cfg": {"patch_size": 32}}, r"visual\.conv1\.weight is 64x3x32x32 instead of 64x3x16x16"),
        ({"text_cfg": {"vocab_size": 60}}, r"token_embedding\.weight is 60x64 instead of 49408x64"),
        ({"text_cfg": {"layers": 3}}, r"unknown: transformer\.resblocks\.2\.ln_1\.weight, .* and 9 more"),
        ({"vision_cfg": {"layers": 1}}, r"missing: visual\.transformer\.resblocks\.1\.ln_1\.weight"),
        ({"embed_dim": 16}, r"text_projection is 64x16 instead of 64x32"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_named(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", trained(**change))
    with pytest.raises(ModelError, match=says):
        loaded("ViT-B-32", path, facts=PLAIN)


def test_the_architecture_that_fits_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", trained(vision_cfg={"image_size": 96}))
    with pytest.raises(ModelError, match="their shapes match ViT-L-14-336, ViT-L-14-336-quickgelu"):
        loaded("ViT-L-14", path, facts=QUICK)
