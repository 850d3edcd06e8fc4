"""Speed of ``match`` in images per second, with the time per step, on the photographs of the assets.

    GLITBUILD_ASSETS=... python benchmarks/match.py [--clip-model ViT-B-32] [--repeat 4]

The worker runs in this process, with random weights, on which the speed does not depend. It is compared with the
way the reference code does the same work: one image at a time, crops by open_clip's own transform, and every
sentence padded to 77 tokens.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from glitbuild.clip.facts import Facts
from glitbuild.clip.load import ClipSpec
from glitbuild.engine.task import usable_cpus
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.regions import candidate_regions, pixels
from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Sample, Source
from glitbuild.stages.match.worker import MatchPlan, MatchWorker


def load_samples(assets: Path, repeat: int) -> list[tuple[Sample, bytes]]:
    """Return the photographs, repeated ``repeat`` times, with long captions from another file of the assets."""
    rows = [json.loads(line) for line in (assets / "photos" / "captions.jsonl").read_text().splitlines()]
    captions = [json.loads(line)["caption"] for line in (assets / "captions" / "docci_1000.jsonl").open()]
    samples = []
    for number, row in enumerate(rows * repeat):
        jpeg, info = store_image((assets / "photos" / row["image"]).read_bytes(), 10**8)
        samples.append(
            (Sample(f"{number:09d}", captions[number].strip(), info, Source("bench", row["image"])), jpeg)
        )
    return samples


def one_at_a_time(plan: MatchPlan, samples: list[tuple[Sample, bytes]]) -> None:
    """Do the same work without batches."""
    model, detector, splitter = plan.clip.load(plan.device), plan.detector.load(plan.device), SentenceSplitter()
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    tokenizer = open_clip.get_tokenizer(plan.clip.model)
    for sample, jpeg in samples:
        image = open_rgb(jpeg)
        (found,) = detector.detect([image])
        regions = candidate_regions(found, image.width, image.height)
        crops = [transform(image.crop(pixels(region.box, image.width, image.height))) for region in regions]
        sentences = [sample.caption[start:end] for start, end in splitter.split([sample.caption])[0]]
        with torch.inference_mode():
            images = torch.cat([model.encode_image(crop[None], normalize=True) for crop in crops])
            texts = torch.cat([model.encode_text(tokenizer([text]), normalize=True) for text in sentences])
            (texts @ images.T).argmax(dim=1)


def timed(work: Callable[[], Any]) -> float:
    """Return the duration of a function call in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=os.environ.get("GLITBUILD_ASSETS", "../shared/assets"))
    parser.add_argument("--clip-model", default="ViT-B-32")
    parser.add_argument("--repeat", type=int, default=4)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=usable_cpus())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    samples = load_samples(options.assets, options.repeat)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "clip.pt"
        torch.save(open_clip.create_model(options.clip_model, pretrained=None).state_dict(), checkpoint)
        plan = MatchPlan(
            source="",
            out="",
            detector=DetectorSpec.parse(str(options.assets / "yolov8n.pt"), None),
            clip=ClipSpec.parse(options.clip_model, str(checkpoint), Facts(quick_gelu=False)),
            min_area=0.01,
            max_area=0.8,
            config={"stage": "match"},
            device=options.device,
            threads=options.threads,
        )
        worker = MatchWorker(plan)
        worker.match(samples[:8])
        worker.seconds.clear()
        ours = timed(lambda: worker.match(samples))
        plain = timed(lambda: one_at_a_time(plan, samples[: len(samples) // options.repeat])) * options.repeat
    print(f"{len(samples)} photographs, {options.clip_model}, {options.device}, {options.threads} threads")
    for stage, seconds in sorted(worker.seconds.items(), key=lambda item: -item[1]):
        print(f"  {stage:<13} {1000 * seconds / len(samples):7.1f} ms per image")
    print(f"worker: {len(samples) / ours:.2f} images/s; one at a time: {len(samples) / plain:.2f} images/s")
    print(f"ratio: {plain / ours:.2f}")


if __name__ == "__main__":
    main()
