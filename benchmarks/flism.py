"""Accuracy of FLISM with the embedded models on scenes with known ground truth, and ablations of its parts.

    python benchmarks/flism.py [--scenes 1000] [--seeds 11,12,13] [--split test] [--precision fp32]

Each seed makes its own scenes. FLISM as it is (default regions and detections) is compared with: only default
regions, only detections, a random region, true boxes instead of detections (the limit of a perfect detector), and
the region with the largest overlap (the limit of a perfect CLIP). Scenes with kinds that were held out of training
are reported separately. The detector's mAP50 is the mean over kinds of the area under the precision-recall curve at
IoU .5, as computed by ultralytics.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from glitbuild.clip.encoder import ClipEncoder
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.precision import PRECISIONS
from glitbuild.flism.detectors.base import Detection
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.matching import best_pairs, similarities
from glitbuild.flism.regions import candidate_regions, iou, pixels
from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.records import Matched, Region
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import encode, render
from glitbuild.stages.scenes.truth import OVERLAP, Accuracy, describe
from glitbuild.stages.scenes.world import make_scene

SCORE = 0.25
"""Lowest score of detections that become regions, as in ``glitbuild match``."""

FLISM, DEFAULTS, DETECTIONS, RANDOM, ORACLE, CEILING = (
    "FLISM",
    "default regions only",
    "detections only",
    "random region",
    "true boxes as detections",
    "best region available",
)


@dataclass
class Run:
    """Results of one seed.

    Attributes:
        accuracy: accuracy by variant.
        found: kind and score of each detection, and whether it is correct.
        there: kind of each object.
        by_fact: for each kind of fact, whether the region of each sentence that states it is correct.
    """

    accuracy: dict[str, Accuracy] = field(default_factory=dict)
    found: list[tuple[str, float, bool]] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    by_fact: dict[str, list[bool]] = field(default_factory=dict)

    def map50(self) -> float:
        """Return the detector's mean average precision at IoU .5."""
        from ultralytics.utils.metrics import ap_per_class

        kinds = sorted({*self.there, *(kind for kind, _, _ in self.found)})
        number = {kind: place for place, kind in enumerate(kinds)}
        right = np.array([[right] for _, _, right in self.found])
        scores = np.array([score for _, score, _ in self.found])
        predicted = np.array([number[kind] for kind, _, _ in self.found])
        there = np.array([number[kind] for kind in self.there])
        return float(ap_per_class(right, scores, predicted, there)[5].mean())


class Models:
    """The embedded models and the sentence splitter."""

    def __init__(self, precision: str) -> None:
        self.detector = DetectorSpec.parse("demo", 0.001).load("cpu")
        self.clip = ClipEncoder(ClipSpec.parse("demo"), "cpu", precision=precision)
        self.splitter = SentenceSplitter()

    def embed(self, image: Image.Image, regions: Sequence[Region]) -> NDArray[Any]:
        """Return the embeddings of the regions' crops, N x D."""
        boxes = [pixels(region.box, image.width, image.height) for region in regions]
        return np.stack(self.clip.images([self.clip.preprocess.crop(image, box) for box in boxes]))


def measure(models: Models, options: ScenesOptions) -> Run:
    """Match scenes in every variant, and compare the results with the ground truth."""
    run = Run({name: Accuracy() for name in (FLISM, DEFAULTS, DETECTIONS, RANDOM, ORACLE, CEILING)})
    rng = np.random.default_rng(options.seed)
    for caption, truth, image, detections in _scenes(models, options):
        run.there += [thing["kind"] for thing in truth["objects"]]
        run.found += list(_rated(detections, truth["objects"]))
        (spans,) = models.splitter.split([caption])
        texts = models.clip.texts(models.clip.tokenize([caption[a:b] for a, b in spans]))
        strong = [found for found in detections if found.score >= SCORE]
        regions = candidate_regions(strong, image.width, image.height)
        true = [Region(tuple(thing["box"]), "object", thing["kind"], 1.0) for thing in truth["objects"]]
        everything = [*regions, *true]
        cosines = similarities(texts, models.embed(image, everything))
        places = {
            FLISM: range(len(regions)),
            DEFAULTS: range(5),
            DETECTIONS: range(5, len(regions)) if len(regions) > 5 else range(5),
            ORACLE: [*range(5), *range(len(regions), len(everything))],
        }
        for name, chosen in places.items():
            _count(run, name, spans, [everything[i] for i in chosen], cosines[:, list(chosen)], truth)
        some = rng.random((len(spans), len(regions)))
        _count(run, RANDOM, spans, regions, some, truth)
        best = np.array([[_overlap(region, span, truth) for region in regions] for span in spans])
        _count(run, CEILING, spans, regions, best, truth)
    return run


def _scenes(
    models: Models, options: ScenesOptions
) -> Iterator[tuple[str, dict[str, Any], Image.Image, list[Detection]]]:
    """Yield caption, ground truth, image (after JPEG compression, as in ``match``) and detections."""
    import io

    for start in range(0, options.count, 16):
        scenes = [make_scene(options, index) for index in range(start, min(start + 16, options.count))]
        images = [Image.open(io.BytesIO(encode(render(scene)))).convert("RGB") for scene in scenes]
        for scene, image, found in zip(scenes, images, models.detector.detect(images), strict=True):
            yield *describe(scene), image, found


def _count(
    run: Run, name: str, spans: Any, regions: Sequence[Region], cosines: NDArray[Any], truth: Mapping[str, Any]
) -> None:
    pairs, best = best_pairs(cosines)
    matched = Matched(tuple(spans), tuple(regions), pairs, best)
    run.accuracy[name].add(matched, truth)
    if name == FLISM:
        for sentence in truth["sentences"]:
            if sentence["about"] == "object":
                one = Accuracy()
                one.add(matched, {**truth, "sentences": [sentence]})
                run.by_fact.setdefault(sentence["fact"], []).append(one.regions_right == 1)


def _overlap(region: Region, span: tuple[int, int], truth: Mapping[str, Any]) -> float:
    boxes = [box for sentence in truth["sentences"] if tuple(sentence["span"]) == span for box in sentence["boxes"]]
    return max((iou(region.box, tuple(box)) for box in boxes), default=0.0)


def _rated(
    detections: Sequence[Detection], objects: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, float, bool]]:
    """Yield each detection's kind and score, and whether it is the first of its kind on an object."""
    free = set(range(len(objects)))
    for found in sorted(detections, key=lambda found: -found.score):
        overlaps = {i: iou(found.box, tuple(objects[i]["box"])) for i in free if objects[i]["kind"] == found.label}
        hit = max(overlaps, key=overlaps.__getitem__, default=None)
        right = hit is not None and overlaps[hit] >= OVERLAP
        if right and hit is not None:
            free.remove(hit)
        yield found.label, found.score, right


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--seeds", default="11,12,13")
    parser.add_argument("--split", default="test", help="split of the scenes; use val while tuning")
    parser.add_argument("--precision", choices=PRECISIONS[1:], default="fp32")
    given = parser.parse_args()
    torch.set_num_threads(2)
    models = Models(given.precision)
    seeds = [int(seed) for seed in given.seeds.split(",")]
    for held_out in (False, True) if given.split == "test" else (False,):
        start = time.perf_counter()
        options = [
            ScenesOptions(given.scenes, "unused", seed, given.split, held_out_kinds=held_out) for seed in seeds
        ]
        runs = [measure(models, each) for each in options]
        kinds = "with a held-out kind" if held_out else "of the training kinds"
        print(f"\n{given.scenes} scenes {kinds}, split {given.split}, seeds {given.seeds}")
        print(f"detector, mAP50:               {_figures([run.map50() for run in runs])}")
        spans = [run.accuracy[FLISM].spans_right for run in runs]
        print(f"sentence spans found:          {_figures(spans)}")
        print(f"{'sentence regions correct':31}{'':30}best pairs correct")
        for name in runs[0].accuracy:
            regions = [run.accuracy[name].regions_right for run in runs]
            best = [run.accuracy[name].best_pairs_right for run in runs]
            print(f"  {name:29}{_figures(regions):30}{_figures(best) if name != CEILING else ''}")
        _print_wrong(runs)
        print(f"{time.perf_counter() - start:.0f} s")


def _print_wrong(runs: Sequence[Run]) -> None:
    whole: Accuracy = Accuracy()
    facts: dict[str, list[bool]] = {}
    for run in runs:
        whole.chosen.update(run.accuracy[FLISM].chosen)
        whole.about_one += run.accuracy[FLISM].about_one
        for fact, right in run.by_fact.items():
            facts.setdefault(fact, []).extend(right)
    print(f"regions chosen instead, of {whole.about_one} sentences about one object:")
    for name, count in whole.confusions():
        print(f"  {name:45}{count:6} {count / whole.about_one:7.1%}")
    print("correct by kind of fact: ", end="")
    ordered = sorted(facts.items(), key=lambda item: statistics.mean(item[1]))
    print(", ".join(f"{fact} {statistics.mean(right):.1%}" for fact, right in ordered))


def _figures(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.1%}" for value in values)


if __name__ == "__main__":
    main()
