"""Folders of transformers give the embeddings that transformers itself gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glitbuild.clip.encoder import ClipEncoder
from glitbuild.clip.load import ClipSpec
from glitbuild.errors import ModelError
from tests.clip.transformers_models import TEXTS, pictures, save_clip_model, save_siglip

pytestmark = pytest.mark.slow


def ours(folder: Path) -> tuple[Any, Any, ClipEncoder]:
    encoder, half = (ClipEncoder(ClipSpec.parse(str(folder)), "cpu", precision=kind) for kind in (None, "bf16"))
    crops = [encoder.preprocess.crop(image, (0, 0, *image.size)) for image in pictures()]
    found = [(np.stack(one.images(crops)), one.texts(one.tokenize(TEXTS))) for one in (encoder, half)]
    for exact, rounded in zip(*found, strict=True):
        assert (exact * rounded).sum(axis=1).min() > 0.995
    return *found[0], encoder


def theirs(folder: Path, kind: str, **options: Any) -> tuple[Any, Any]:
    import transformers

    library: Any = transformers
    model = getattr(library, kind).from_pretrained(folder).eval()
    processor = library.AutoImageProcessor.from_pretrained(folder)
    tokenizer = library.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        found = model(
            **processor(images=pictures(), return_tensors="pt"),
            **tokenizer(TEXTS, truncation=True, return_tensors="pt", **options),
        )
    return found.image_embeds.numpy(), found.text_embeds.numpy()


def assert_same(a: Any, b: Any) -> None:
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert a.shape == b.shape
    assert cosines.min() > 0.9999, cosines
    assert abs((a @ a.T)[0, 1]) < 0.9999  # otherwise any embedding would do


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_a_clip_model_becomes_one_of_open_clip_with_the_same_embeddings(tmp_path: Path, act: str) -> None:
    import open_clip

    save_clip_model(tmp_path, hidden_act=act)
    config = json.loads((tmp_path / "config.json").read_text())
    config["vision_config"]["hidden_act"] = act
    (tmp_path / "config.json").write_text(json.dumps(config))
    images, texts, encoder = ours(tmp_path)
    for found, expected in zip((images, texts), theirs(tmp_path, "CLIPModel", padding=True), strict=True):
        assert_same(found, expected)
    assert type(ClipSpec.parse(str(tmp_path)).load("cpu")) is open_clip.CLIP
    assert encoder.patches.grid.side == 4


def test_a_long_one_reads_more_tokens_and_all_are_stretched_alike(tmp_path: Path) -> None:
    save_clip_model(tmp_path, max_position_embeddings=248)
    spec = ClipSpec.parse(str(tmp_path))
    assert ClipEncoder(spec, "cpu").context_length == 248
    assert ClipEncoder(spec, "cpu", context_length=496).context_length == 496
    assert ClipEncoder(spec, "cpu", context_length=77).tokenize([TEXTS[2] * 5])[0].truncated


@pytest.mark.parametrize("second", [False, True])
def test_siglip_gives_the_embeddings_of_transformers(tmp_path: Path, second: bool) -> None:
    save_siglip(tmp_path, second)
    images, texts, encoder = ours(tmp_path)
    kind = "Siglip2Model" if second else "SiglipModel"
    for found, expected in zip((images, texts), theirs(tmp_path, kind, padding="max_length"), strict=True):
        assert_same(found, expected)
    assert encoder.context_length == 12
    assert [tokens.truncated for tokens in encoder.tokenize(["a red car", TEXTS[2]])] == [False, True]
    if second:
        with pytest.raises(ModelError, match="NaFlex"):
            encoder.patches  # noqa: B018
    else:
        assert encoder.patches.grid.side == 4


def test_siglip_is_not_stretched(tmp_path: Path) -> None:
    save_siglip(tmp_path)
    with pytest.raises(ModelError, match="reads 12 tokens"):
        ClipEncoder(ClipSpec.parse(str(tmp_path)), "cpu", context_length=248)
    assert ClipEncoder(ClipSpec.parse(str(tmp_path)), "cpu", at_least=248).context_length == 12


def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    model = save_clip_model(tmp_path / "one")
    save_clip_model(tmp_path / "many")
    (tmp_path / "many" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "many", max_shard_size="1MB")
    assert (tmp_path / "many" / "model.safetensors.index.json").exists()
    one, many = (ClipSpec.parse(str(tmp_path / name)) for name in ("one", "many"))
    assert one.identity != many.identity
    for a, b in zip(ours(tmp_path / "one")[:2], ours(tmp_path / "many")[:2], strict=True):
        assert (a == b).all()
    part = next((tmp_path / "many").glob("model-*.safetensors"))
    part.unlink()
    with pytest.raises(ModelError, match="missing"):
        ClipSpec.parse(str(tmp_path / "many"))


def _edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _no_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def _another_crop(folder: Path) -> None:
    _edit(folder / "preprocessor_config.json", size={"shortest_edge": 40})


def _not_normalised(folder: Path) -> None:
    _edit(folder / "preprocessor_config.json", do_normalize=False)


def _another_vocabulary(folder: Path) -> None:
    words = json.loads((folder / "vocab.json").read_text())
    words["a"], words["b"] = words["b"], words["a"]
    (folder / "vocab.json").write_text(json.dumps(words))


def _a_weight_less(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def _another_class(folder: Path) -> None:
    _edit(folder / "config.json", architectures=["CLIPVisionModelWithProjection"])


def _another_end(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    _edit(folder / "config.json", text_config=config["text_config"] | {"eos_token_id": 7})


def _broken(folder: Path) -> None:
    (folder / "config.json").write_text("{")


HARMS = [
    (_no_processor, "image processor is missing"),
    (_another_crop, "not 32 pixels"),
    (_not_normalised, "omits"),
    (_another_vocabulary, "vocabulary"),
    (_a_weight_less, "visual_projection"),
    (_another_class, "CLIPVisionModelWithProjection"),
    (_another_end, "vocabulary|end"),
    (_broken, "can't read it"),
]


@pytest.mark.parametrize(("harm", "why"), HARMS, ids=lambda value: getattr(value, "__name__", None))
def test_what_would_give_other_embeddings_is_refused(harm: Any, why: str, tmp_path: Path) -> None:
    save_clip_model(tmp_path)
    harm(tmp_path)
    with pytest.raises(ModelError, match=why) as found:
        ClipEncoder(ClipSpec.parse(str(tmp_path)), "cpu")
    assert str(tmp_path) in str(found.value)
    assert found.value.fix
