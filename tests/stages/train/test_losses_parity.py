"""Features, losses and all gradients of a batch, against the formulas in float64, one sample at a time."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import clip_tokenizer
from glitbuild.clip.towers import stretch
from glitbuild.stages.train.data import Batch, Batches, ExampleMaker
from glitbuild.stages.train.losses import Objective, Views
from glitbuild.stages.train.optim import backward
from glitbuild.stages.train.plan import Place, Plan
from glitbuild.stages.train.sources import Source
from tests.stages.train.worlds import matched_scenes, small_clip

pytestmark = pytest.mark.slow

WEIGHTS = {"global": 1.0, "local": 0.5, "tsl": 1.0}


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = matched_scenes(tmp_path_factory.mktemp("parity"))
    maker = ExampleMaker(Preprocess.of(small_clip()), clip_tokenizer("ViT-B-32"), 248, "all")
    batches = Batches([Source.open(str(folder))], maker, Plan((7, 3, 6), 0, 1))
    made = batches[[Place(0, 0, row) for row in range(5)]]
    made.boxes[3] = torch.tensor([0.0, 0.0, 1.0, 1.0]) + made.windows[3, 2]  # right of what the model sees
    made.spans[4] = 247  # beyond the last token
    return made


def vision(model: Any, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One picture, S x S x 3: the states of its patches and its embedding."""
    visual = model.visual
    config = Preprocess.of(model)
    x = (pixels.double() / 255 - torch.tensor(config.mean)) / torch.tensor(config.std)
    size, patch = config.size, visual.conv1.kernel_size[0]
    rows = []
    for top in range(0, size, patch):
        for left in range(0, size, patch):
            piece = x[top : top + patch, left : left + patch].permute(2, 0, 1)
            rows.append((visual.conv1.weight * piece).sum(dim=(1, 2, 3)))
    x = torch.stack([visual.class_embedding, *rows]) + visual.positional_embedding
    x = layers(visual.transformer, visual.ln_pre(x), None)
    return x[1:], visual.ln_post(x[0]) @ visual.proj


def text(model: Any, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One text, padded with zeros: the states of its tokens and its embedding."""
    ids = ids[: int(ids.argmax()) + 1]
    x = model.token_embedding.weight[ids] + model.positional_embedding[: len(ids)]
    mask = torch.full((len(ids), len(ids)), -math.inf, dtype=x.dtype).triu(1)
    x = layers(model.transformer, x, mask)
    return x, model.ln_final(x[-1]) @ model.text_projection


def layers(transformer: Any, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    for block in transformer.resblocks:
        y, heads = block.ln_1(x), block.attn.num_heads
        q, k, v = (y @ block.attn.in_proj_weight.T + block.attn.in_proj_bias).chunk(3, dim=-1)
        out = []
        for part in range(heads):
            width = x.shape[1] // heads
            own = slice(part * width, (part + 1) * width)
            scores = q[:, own] @ k[:, own].T / math.sqrt(width)
            out.append((scores if mask is None else scores + mask).softmax(dim=-1) @ v[:, own])
        x = x + block.attn.out_proj(torch.cat(out, dim=-1))
        x = x + block.mlp(block.ln_2(x))
    return x


def contrast(images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for a, b in ((images, texts), (texts, images)):
        for i in range(len(a)):
            scores = torch.stack([scale * functional.cosine_similarity(a[i], b[j], dim=0) for j in range(len(b))])
            total = total - scores[i] + scores.exp().sum().log()
    return total / (2 * len(images))


def reference(model: Any, batch: Batch) -> dict[str, torch.Tensor]:
    """The losses from the paper's formulas."""
    size = Preprocess.of(model).size
    patch = model.visual.conv1.kernel_size[0]
    grid = size // patch
    found: dict[str, list[torch.Tensor]] = {name: [] for name in ("image", "text", "crop", "sentence", "p", "s")}
    for i in range(len(batch)):
        patches, image = vision(model, batch.images[i])
        tokens, caption = text(model, batch.ids[i])
        crop, sentence = vision(model, batch.crops[i])[1], text(model, batch.sentence_ids[i])[1]
        for name, value in (("image", image), ("text", caption), ("crop", crop), ("sentence", sentence)):
            found[name].append(value)
        left, top, right, bottom = batch.windows[i].tolist()
        x1, y1, x2, y2 = batch.boxes[i].tolist()
        xs = [min(max((x - left) / (right - left) * size, 0), size) for x in (x1, x2)]
        ys = [min(max((y - top) / (bottom - top) * size, 0), size) for y in (y1, y2)]
        inside = [
            row * grid + column
            for row in range(math.floor(ys[0] / patch), math.ceil(ys[1] / patch))
            for column in range(math.floor(xs[0] / patch), math.ceil(xs[1] / patch))
        ]
        if xs[0] < xs[1] and ys[0] < ys[1]:
            mean = model.visual.ln_post(patches[inside].mean(dim=0)) @ model.visual.proj
            found["p"].append((functional.cosine_similarity(mean, crop, dim=0) - 1) ** 2)
        start, end = batch.spans[i].tolist()
        if start < end:
            mean = model.ln_final(tokens[start:end].mean(dim=0)) @ model.text_projection
            found["s"].append((functional.cosine_similarity(mean, sentence, dim=0) - 1) ** 2)
    scale = model.logit_scale.exp()
    assert len(found["p"]) == len(found["s"]) == len(batch) - 1
    losses = {
        "global": contrast(torch.stack(found["image"]), torch.stack(found["text"]), scale),
        "local": contrast(torch.stack(found["crop"]), torch.stack(found["sentence"]), scale),
        "tsl": torch.stack(found["p"]).mean() + torch.stack(found["s"]).mean(),
    }
    return losses | {"loss": losses["global"] + 0.5 * losses["local"] + losses["tsl"]}


def relative(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one.detach().double() - two.detach()).norm() / two.detach().norm().clamp(min=1e-9))


@pytest.fixture(scope="module")
def expected(batch: Batch) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    model = small_clip(1)
    stretch(model)
    model = model.double()
    losses = reference(model, batch)
    losses["loss"].backward()
    return losses, {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_losses_and_gradients_are_those_of_the_formulas(batch: Batch, expected: Any, parts: int) -> None:
    model = small_clip(1)
    stretch(model)
    views = Views(model, frozenset(WEIGHTS))
    losses = backward(views, batch, Objective(WEIGHTS), parts)
    known, gradients = expected
    for name, value in known.items():
        assert relative(losses[name], value) < 1e-4, name
    for name, parameter in model.named_parameters():
        assert relative(parameter.grad, gradients[name]) < 1e-4, name


@pytest.mark.parametrize("names", [("global",), ("local",), ("tsl",), ("global", "tsl")])
def test_each_loss_alone_is_the_same(batch: Batch, expected: Any, names: tuple[str, ...]) -> None:
    model = small_clip(1)
    stretch(model)
    weights = {name: WEIGHTS[name] for name in names}
    losses = Objective(weights)(Views(model, frozenset(names))(batch))
    for name in names:
        assert relative(losses[name], expected[0][name]) < 1e-4
    assert set(losses) == {*names, "loss"}


def test_the_towers_give_open_clips_embeddings(batch: Batch) -> None:
    model = small_clip(1).eval()
    stretch(model)
    views = Views(model, frozenset(WEIGHTS))
    with torch.no_grad():
        features = views(batch)
        pixels = Preprocess.of(model).normalise(batch.images)
        assert torch.allclose(model.encode_image(pixels), features["image"], atol=1e-5)
        whole = torch.zeros(len(batch), 248, dtype=torch.long)
        whole[:, : batch.ids.shape[1]] = batch.ids
        assert torch.allclose(model.encode_text(whole), features["text"], atol=1e-5)
