"""A small matched dataset and a small CLIP with random weights, to train on."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from glitbuild.clip.saved import save_model
from glitbuild.flism.regions import default_regions
from glitbuild.records import Matched, Pair, Region
from glitbuild.shards.manifest import write_manifest
from glitbuild.shards.sidecar import finished_sidecars
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard
from glitbuild.stages.scenes.command import make_sample
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.truth import describe
from glitbuild.stages.scenes.world import make_scene
from glitbuild.stages.train import loop
from tests.factories import jpeg, sample_with_jpeg

TIMES = {"step_seconds", "images_per_second", "memory_gib"}
"""Values in the log that differ from run to run."""

MODEL_CFG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


class InterruptedRunError(Exception):
    """Stands for whatever ends a run in the middle."""


def record(patch: pytest.MonkeyPatch, steps: int = 99) -> list[tuple[str, ...]]:
    """Collect the keys of each step from now on, and interrupt the run after some steps."""
    backward, taken = loop.backward, []

    def recording(views: Any, batch: loop.Batch, *rest: Any) -> dict[str, torch.Tensor]:
        if len(taken) == steps:
            raise InterruptedRunError
        taken.append(batch.keys)
        return backward(views, batch, *rest)

    patch.setattr(loop, "backward", recording)
    return taken


def small_clip(seed: int = 0) -> Any:
    """Return an open_clip model of a hundredth of the usual size."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.model.CLIP(**MODEL_CFG)
    config = open_clip.transform.PreprocessCfg(size=32)
    open_clip.model.set_model_preprocess_cfg(model, vars(config).copy())
    return model


def save_small_clip(folder: Path, seed: int = 0) -> Path:
    """Write such a model into a folder and return it."""
    save_model(folder, small_clip(seed), MODEL_CFG)
    return folder


def matched_scenes(folder: Path, sizes: tuple[int, ...] = (7, 3, 6), first: int = 0) -> Path:
    """Write a dataset of scenes whose regions are the true boxes, in uneven shards, from scene ``first`` on."""
    samples = iter(_outcome(index) for index in range(first, first + sum(sizes)))
    return write_matched(folder, [list(islice(samples, size)) for size in sizes])


def matched_out_of_sight(folder: Path) -> Path:
    """Write two samples that lack a side of TSL each.

    The first picture is four times as wide as high, and its best region is the left end, which the centre crop
    removes. The best pair of the second has the last sentence of a caption of some 300 tokens.
    """
    first, data = sample_with_jpeg(0, "A dog sits. A ball lies on the left.")
    data = jpeg(320, 80)
    info = replace(first.image, width=320, height=80, sha256=sha256(data).hexdigest())
    left = Region((0.0, 0.0, 40.0, 80.0), "object", "ball", 0.9)
    matched = Matched(((0, 11), (12, 36)), (*default_regions(320, 80), left), (Pair(0, 4, 0.1), Pair(1, 5, 0.9)), 1)
    wide = replace(first, image=info, matched=matched)
    second, small = sample_with_jpeg(1, " ".join(["A dog sits."] * 75))
    spans = tuple((start, start + 11) for start in range(0, 75 * 12, 12))
    pairs = tuple(Pair(number, 4, 0.9 if number == 74 else 0.1) for number in range(75))
    long = replace(second, matched=Matched(spans, default_regions(32, 24), pairs, 74))
    return write_matched(folder, [[(wide, data), (long, small)]])


def write_matched(folder: Path, shards: Sequence[Sequence[Outcome]]) -> Path:
    """Write a dataset as ``match`` leaves it."""
    store, config = Store(str(folder)), {"stage": "match"}
    names = [f"{number:05d}" for number in range(len(shards))]
    for name, outcomes in zip(names, shards, strict=True):
        write_shard(store, name, outcomes, config, dict)
    write_manifest(store, finished_sidecars(store, names), config, {})
    return folder


def _outcome(index: int) -> Outcome:
    options = ScenesOptions(count=100, out="unused", split="val")
    sample, jpeg, _ = make_sample(options, index)
    scene = make_scene(options, index)
    _, truth = describe(scene)
    regions = [Region(tuple(map(float, thing["box"])), "object", thing["kind"], 0.9) for thing in truth["objects"]]
    regions = [*default_regions(scene.width, scene.height), *regions]
    pairs = []
    for number, sentence in enumerate(truth["sentences"]):
        region = 5 + sentence["objects"][0] if sentence["about"] == "object" else 4
        pairs.append(Pair(number, region, round(0.9 - 0.01 * number if region > 4 else 0.1, 5)))
    best = max(range(len(pairs)), key=lambda i: pairs[i].similarity)
    spans = tuple((a, b) for a, b in (sentence["span"] for sentence in truth["sentences"]))
    return replace(sample, matched=Matched(spans, tuple(regions), tuple(pairs), best)), jpeg
