"""Speed of ``match`` in images per second, against the loop that a user would write, on photographs.

    GLITBUILD_ASSETS=... python benchmarks/match.py [--clip-model ViT-B-32] [--images 24] [--rounds 3]

Four ways to do the same work take turns, each in as many rounds; the results are medians:

* ``glitbuild.FLISM``, as the worker of ``match`` calls it;
* a user's loop: ultralytics' ``predict`` on an image, its crops through open_clip's transform as one batch, its
  sentences as one batch of 77 tokens; with the number of threads, and with or without autocast, as is fastest;
* bare forwards of the same numbers of crops, sentences (of 77 tokens) and letterboxed images, in batches of 64, 64
  and 16, from noise that is already on the device, with or without autocast, as is faster;
* the roof: the time in which a large matrix product, at its measured rate in the precision of ``match``, would do
  the operations of those forwards.

Photographs and detector are those of the assets; CLIP's weights are random, as its speed doesn't depend on them.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from glitbuild.clip.facts import Facts
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.precision import PRECISIONS, choose_precision, computing
from glitbuild.engine.task import usable_cpus
from glitbuild.flism.detectors.base import Detection
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.flism import FLISM, CaptionedImage
from glitbuild.flism.regions import candidate_regions, pixels
from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Matched

Key = TypeVar("Key", str, tuple[str, int])

TOKENS = 77
CROPS, TEXTS, IMAGES = 64, 64, 16
"""Batch sizes of the bare forwards."""


@dataclass(frozen=True)
class Models:
    """The detector and the CLIP to use, and where."""

    detector: DetectorSpec
    clip: ClipSpec
    device: str


@dataclass(frozen=True)
class Sample:
    """A photograph with a caption."""

    jpeg: bytes
    width: int
    height: int
    caption: str

    def job(self) -> CaptionedImage:
        """Return the sample as FLISM takes it."""
        return CaptionedImage(self.caption, self.width, self.height, partial(open_rgb, self.jpeg))


def load_samples(assets: Path, count: int) -> list[Sample]:
    """Return ``count`` photographs, repeated if there are fewer, with long captions of other images."""
    rows = [json.loads(line) for line in (assets / "photos" / "captions.jsonl").read_text().splitlines()]
    captions = [json.loads(line)["caption"] for line in (assets / "captions" / "docci_1000.jsonl").open()]
    samples = []
    for number in range(count):
        photo = assets / "photos" / rows[number % len(rows)]["image"]
        jpeg, info = store_image(photo.read_bytes(), 10**8)
        samples.append(Sample(jpeg, info.width, info.height, captions[number % len(captions)].strip()))
    return samples


class UserLoop:
    """What a user of ultralytics and open_clip would write, image by image."""

    def __init__(self, models: Models, precision: str) -> None:
        from ultralytics import YOLO

        self._device, self._score, self._precision = models.device, models.detector.score, precision
        self._detector = YOLO(models.detector.spec)
        self._model = models.clip.load(models.device)
        self._transform = image_transform_v2(PreprocessCfg(**self._model.visual.preprocess_cfg), is_train=False)
        self._tokenizer = open_clip.get_tokenizer(models.clip.model)
        self._split = SentenceSplitter().split

    def __call__(self, samples: list[Sample]) -> None:
        """Match the samples."""
        for sample in samples:
            image = Image.open(BytesIO(sample.jpeg)).convert("RGB")
            (result,) = self._detector.predict(image, conf=self._score, device=self._device, verbose=False)
            boxes = result.boxes
            found = [
                Detection(tuple(box), result.names[int(kind)], score)
                for box, kind, score in zip(
                    boxes.xyxy.tolist(), boxes.cls.tolist(), boxes.conf.tolist(), strict=True
                )
            ]
            regions = candidate_regions(found, image.width, image.height)
            crops = [self._transform(image.crop(pixels(each.box, image.width, image.height))) for each in regions]
            sentences = [sample.caption[start:end] for start, end in self._split([sample.caption])[0]]
            with torch.inference_mode(), computing(self._device, self._precision):
                embedded = self._model.encode_image(torch.stack(crops).to(self._device), normalize=True)
                texts = self._model.encode_text(self._tokenizer(sentences).to(self._device), normalize=True)
                (texts @ embedded.T).argmax(dim=1).tolist()


@dataclass(frozen=True)
class Work:
    """Numbers of images, crops and sentences."""

    images: int
    crops: int
    sentences: int


class BareForwards:
    """The three models on batches of noise."""

    def __init__(self, models: Models, work: Work, precision: str) -> None:
        self._device, self._precision = models.device, precision
        model: Any = models.clip.load(models.device)
        detector = models.detector.load(models.device)._model.model.to(models.device).eval()  # type: ignore[attr-defined]
        side = model.visual.preprocess_cfg["size"]
        side = side if isinstance(side, int) else side[0]
        texts = torch.zeros(TEXTS, TOKENS, dtype=torch.long, device=models.device)
        texts[:, -1] = 49407
        self._parts = [
            (work.crops, CROPS, model.encode_image, torch.rand(CROPS, 3, side, side, device=models.device)),
            (work.sentences, TEXTS, model.encode_text, texts),
            (work.images, IMAGES, detector, torch.rand(IMAGES, 3, 640, 640, device=models.device)),
        ]

    def __call__(self) -> None:
        """Run them as often as the work needs."""
        with torch.inference_mode(), computing(self._device, self._precision):
            for count, size, forward, batch in self._parts:
                for start in range(0, count, size):
                    forward(batch[: min(size, count - start)])
        synchronize(self._device)

    def operations(self) -> int:
        """Return the floating-point operations of matrix products and convolutions."""
        with FlopCounterMode(display=False) as counter:
            self()
        return int(counter.get_total_flops())


def synchronize(device: str) -> None:
    """Wait until the device has finished."""
    if device != "cpu":
        torch.cuda.synchronize()


def roof(device: str, precision: str) -> float:
    """Return the rate of a large matrix product in operations per second."""
    side = 2048 if device == "cpu" else 8192
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))

    def product() -> None:
        a @ b
        synchronize(device)

    product()
    return float(2 * side**3 / min(timed(product) for _ in range(10)))


def fastest(ways: dict[Key, tuple[int, Callable[[], Any]]]) -> Key:
    """Return the key of the fastest of ways to work, each with a number of threads."""
    seconds = {}
    for key, (threads, way) in ways.items():
        torch.set_num_threads(threads)
        seconds[key] = timed(way)
    return min(seconds, key=seconds.__getitem__)


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
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=usable_cpus(), help="of the worker, and most of the loop's")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the worker")
    options = parser.parse_args()
    samples = load_samples(options.assets, options.images)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "clip.pt"
        torch.save(open_clip.create_model(options.clip_model, pretrained=None).state_dict(), checkpoint)
        models = Models(
            DetectorSpec.parse(str(options.assets / "yolov8n.pt"), None),
            ClipSpec.parse(options.clip_model, str(checkpoint), Facts(quick_gelu=False)),
            options.device,
        )
        precision = choose_precision(options.precision, options.device)
        flism = FLISM(
            models.detector, models.clip, device=options.device, threads=options.threads, precision=precision
        )
        jobs = [sample.job() for sample in samples]
        found = [one for one in flism.match(jobs) if isinstance(one, Matched)]  # also a warm-up
        work = Work(len(samples), sum(len(one.regions) for one in found), sum(len(one.sentences) for one in found))
        # The peers compute in what is fastest for them: on a GPU in half precision, on a CPU perhaps too.
        kinds = ["fp16"] if options.device != "cpu" else ["fp32", *(["bf16"] if precision == "bf16" else [])]
        counts = range(1, options.threads + 1) if options.device == "cpu" else [options.threads]
        few = samples[: max(4, len(samples) // 4)]
        loops = {kind: UserLoop(models, kind) for kind in kinds}
        bares = {kind: BareForwards(models, work, kind) for kind in kinds}
        for loop in loops.values():
            loop(few[:4])  # warm-up
        loop_kind, loop_threads = fastest(
            {(kind, count): (count, partial(loops[kind], few)) for kind in kinds for count in counts}
        )
        bare_kind = fastest({kind: (options.threads, bares[kind]) for kind in kinds})
        ways: dict[str, tuple[int, str, Callable[[], Any]]] = {
            "match": (options.threads, precision, lambda: flism.match(jobs)),
            "user's loop": (loop_threads, loop_kind, lambda: loops[loop_kind](samples)),
            "bare forwards": (options.threads, bare_kind, bares[bare_kind]),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        flism.seconds.clear()
        rates = []
        for _ in range(options.rounds):
            for name, (number, _, way) in ways.items():
                torch.set_num_threads(number)
                seconds[name].append(timed(way))
            rates.append(roof(options.device, precision))
        operations = bares[bare_kind].operations()
    name = torch.cuda.get_device_name() if options.device != "cpu" else f"CPU, {options.threads} threads"
    print(f"{options.clip_model}, {precision}, {name}: {work.images} photographs with", end=" ")
    print(f"{work.crops / work.images:.1f} crops and {work.sentences / work.images:.1f} sentences each")
    for step, spent in sorted(flism.seconds.items()):
        print(f"  {step:<13} {1000 * spent / work.images / options.rounds:7.1f} ms per image")
    ours, rate = statistics.median(seconds["match"]), statistics.median(rates)
    seconds["roof"] = [operations / rate]
    for name, each in seconds.items():
        taken = statistics.median(each)
        spread = f"({work.images / max(each):.2f} to {work.images / min(each):.2f})" if len(each) > 1 else ""
        used = f"; {ways[name][1]}, threads: {ways[name][0]}" if name in ways else ""
        print(f"{name:14} {work.images / taken:9.2f} images/s {spread}{used}", end="")
        print("" if name == "match" else f"; match is {taken / ours:.2f} x as fast")
    print(f"roof: {precision}, {rate / 1e12:.2f} TFLOP/s, {operations / work.images / 1e9:.1f} GFLOP per image")
    if options.device != "cpu":
        print(f"most memory: {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
