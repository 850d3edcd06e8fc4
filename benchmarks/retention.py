"""What fine-tuning for long captions forgets on drawn scenes, and what blends with the base keep.

    python benchmarks/retention.py --work DIR [--scenes 2560] [--gallery 1000] [--split val]

The embedded CLIP is fine-tuned on matched scenes as in ``paper_ablation.py``, and blended with itself as
``glitbuild blend`` does it. Each blend is measured on other scenes: whole captions (gain), one sentence per image,
and zero-shot classification of cropped objects by kind (both retention). Use ``val`` to look, and ``test`` once.
Results are kept in --work and reused.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from glitbuild.shards.layout import truth_path
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.blend.command import headline, run_blend
from glitbuild.stages.blend.options import BlendOptions
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.command import run_train
from glitbuild.stages.train.options import TrainOptions

LONG, SHORT, KINDS = "whole captions", "one sentence", "zero-shot"
LEAST_SIDE, LEAST_VISIBLE = 48, 0.9
"""Of objects that are cropped: shorter side in pixels, and share that nothing hides."""


def lay_out_short(scenes: Path, short: Path) -> None:
    """Write a dataset with one sentence per image, unless it is there."""
    images = short.with_name("short-images")
    images.mkdir(parents=True, exist_ok=True)
    rows = []
    for key, caption, jpeg, truth in read_scenes(scenes):
        (images / f"{key}.jpg").write_bytes(jpeg)
        start, end = next(one["span"] for one in truth["sentences"] if one["about"] == "object")
        rows.append({"image": f"{key}.jpg", "caption": caption[start:end]})
    listed = images / "captions.jsonl"
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_ingest(IngestOptions(str(listed), str(short), duplicates="keep"), plain=True)


def lay_out_kinds(scenes: Path, kinds: Path) -> None:
    """Write a folder of object crops per kind, unless it is there."""
    if kinds.exists():
        return
    part = kinds.with_suffix(".part")
    for key, _, jpeg, truth in read_scenes(scenes):
        with Image.open(BytesIO(jpeg)) as image:
            for number, thing in enumerate(truth["objects"]):
                left, top, right, bottom = thing["box"]
                if min(right - left, bottom - top) < LEAST_SIDE or thing["visible"] < LEAST_VISIBLE:
                    continue
                (part / thing["kind"]).mkdir(parents=True, exist_ok=True)
                image.crop(thing["box"]).save(part / thing["kind"] / f"{key}-{number}.png")
    part.rename(kinds)


def read_scenes(scenes: Path) -> Iterator[tuple[str, str, bytes, dict[str, Any]]]:
    """Yield key, caption, JPEG and truth of each scene."""
    store, manifest = open_dataset(str(scenes))
    for shard in manifest.shards:
        truths = (json.loads(line) for line in store.read(truth_path(shard.name)).splitlines())
        for (sample, jpeg), truth in zip(read_shard(store, shard.name, shard.sha256), truths, strict=True):
            yield sample.key, sample.caption, jpeg, truth


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=2560)
    parser.add_argument("--gallery", type=int, default=1000)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--base", default="demo")
    parser.add_argument("--lr", type=float, default=3e-4)
    given = parser.parse_args()
    work: Path = given.work
    long, short, kinds = (work / given.split / name for name in ("long", "short", "kinds"))
    run_scenes(ScenesOptions(given.scenes, str(work / "scenes"), seed=201, shard_size=320), plain=True)
    run_scenes(ScenesOptions(given.gallery, str(long), seed=202, split=given.split), plain=True)
    match = MatchOptions(str(work / "scenes"), str(work / "pairs"), workers=0, detector="demo", clip_model="demo")
    run_match(match, plain=True)
    train = TrainOptions(str(work / "pairs"), str(work / "run"), given.base, epochs=1, batch_size=32, lr=given.lr)
    run_train(replace(train, loader_workers=1, save_every=100), plain=True)
    lay_out_short(long, short)
    lay_out_kinds(long, kinds)
    out = work / f"blend-{given.split}"
    options = BlendOptions(
        given.base, str(work / "run"), str(out), [str(long)], [str(short), str(kinds)], overwrite=True
    )
    done = run_blend(options, plain=True)
    plain = [
        headline(run_eval(EvalOptions(given.base, str(data), suite=suite, context_length=77), plain=True))
        for data, suite in ((long, "retrieval"), (short, "retrieval"), (kinds, ""))
    ]
    print(f"{given.split}, {given.gallery:,} scenes, in percent")
    print(f"{'':24}{LONG:>16}{SHORT:>16}{KINDS:>16}")
    print(f"{'base, 77 tokens':24}" + "".join(f"{value:16.2f}" for value in plain))
    for point in done.points:
        name = {0: "alpha 0: base, 248", 1: "alpha 1: fine-tuned"}.get(point.alpha, f"alpha {point.alpha:g}")
        cells = [*point.gains.values(), *point.retained.values()]
        chosen = "  chosen" if point.alpha == done.alpha else ""
        print(f"{name:24}" + "".join(f"{value:16.2f}" for value in cells) + chosen)


if __name__ == "__main__":
    main()
