"""The worker against the method written out plainly, one picture and one sentence at a time."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from glitbuild.clip.load import ClipSpec
from glitbuild.flism import flism
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.flism.regions import iou
from glitbuild.images.stored import open_rgb, store_image
from glitbuild.records import Region, Sample, Skip, SkipReason, Source
from glitbuild.shards.shard_check import inconsistencies
from glitbuild.stages.match.worker import MatchPlan, MatchWorker
from tests.images.exif_bytes import exif_segment, with_segments
from tests.images.turns import SHUFFLE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plan(yolo: Path, clip_checkpoint: Path) -> MatchPlan:
    clip = ClipSpec.parse("ViT-S-32-alt", str(clip_checkpoint))
    detector = DetectorSpec.parse(str(yolo), None)
    return MatchPlan("in", "out", detector, clip, 0.01, 0.8, {"stage": "match"}, threads=2)


@pytest.fixture(scope="module")
def worker(plan: MatchPlan) -> MatchWorker:
    return MatchWorker(plan)


@pytest.fixture(scope="module")
def samples(photos: Path) -> list[tuple[Sample, bytes]]:
    found = []
    for number, line in enumerate((photos / "captions.jsonl").read_text().splitlines()[:5]):
        row = json.loads(line)
        jpeg, info = store_image((photos / row["image"]).read_bytes(), 10**8)
        found.append((Sample(f"{number:09d}", row["caption"], info, Source("photos", row["image"])), jpeg))
    return found


def matched(worker: MatchWorker, samples: list[tuple[Sample, bytes]]) -> list[Sample]:
    outcomes = worker.match(samples)
    assert not any(isinstance(outcome, Skip) for outcome in outcomes)
    return [outcome[0] for outcome in outcomes if not isinstance(outcome, Skip)]


def test_pairs_are_those_of_the_method_written_out(
    worker: MatchWorker, plan: MatchPlan, samples: list[tuple[Sample, bytes]]
) -> None:
    model = plan.clip.load("cpu")
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    tokenizer = open_clip.get_tokenizer("ViT-S-32-alt")
    for (_, jpeg), sample in zip(samples, matched(worker, samples), strict=True):
        assert sample.matched and list(inconsistencies(sample)) == []
        image = Image.open(io.BytesIO(jpeg)).convert("RGB")
        boxes = [region.box for region in sample.matched.regions]
        crops = [image.crop((int(a), int(b), int(np.ceil(c)), int(np.ceil(d)))) for a, b, c, d in boxes]
        sentences = [sample.caption[start:end] for start, end in sample.matched.sentences]
        with torch.inference_mode():
            regions = [model.encode_image(transform(crop)[None], normalize=True)[0].numpy() for crop in crops]
            texts = [model.encode_text(tokenizer([text]), normalize=True)[0].numpy() for text in sentences]
        cosines = np.array([[float(text @ region) for region in regions] for text in texts])
        for pair, row in zip(sample.matched.pairs, cosines, strict=True):
            # Two regions as close as the resize's rounding may change places.
            assert pair.similarity == pytest.approx(row.max(), abs=2e-3)
            assert row[pair.region] == pytest.approx(row.max(), abs=2e-3)


def test_a_sample_does_not_depend_on_the_shard_around_it(
    worker: MatchWorker, samples: list[tuple[Sample, bytes]]
) -> None:
    together = matched(worker, samples)
    for alone, of_all in zip(samples, together, strict=True):
        (single,) = matched(worker, [alone])
        assert single.matched and of_all.matched
        assert single.matched.sentences == of_all.matched.sentences
        assert single.matched.regions == of_all.matched.regions
        for one, two in zip(single.matched.pairs, of_all.matched.pairs, strict=True):
            assert one.similarity == pytest.approx(two.similarity, abs=1e-4)


def test_windows_and_batches_that_do_not_fit_change_nothing_that_matters(
    worker: MatchWorker, samples: list[tuple[Sample, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = matched(worker, samples)
    encode = worker._flism._clip._model.encode_image

    def small_memory(pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > 7:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return encode(pixels)

    monkeypatch.setattr(flism, "WINDOW", 2)
    monkeypatch.setattr(worker._flism._clip._model, "encode_image", small_memory)
    for one, two in zip(matched(worker, samples), expected, strict=True):
        assert one.matched and two.matched
        assert one.matched.regions == two.matched.regions
        similarities = [pair.similarity for pair in two.matched.pairs]
        assert [pair.similarity for pair in one.matched.pairs] == pytest.approx(similarities, abs=1e-4)


def test_a_picture_that_cannot_be_decoded_is_skipped_and_the_others_go_on(
    worker: MatchWorker, samples: list[tuple[Sample, bytes]]
) -> None:
    broken = [(sample, jpeg[:500] if index == 1 else jpeg) for index, (sample, jpeg) in enumerate(samples)]
    outcomes = worker.match(broken)
    skip = outcomes[1]
    assert isinstance(skip, Skip) and skip.reason == SkipReason.IMAGE_CORRUPT and skip.key == "000000001"
    kept = [outcome[0] for outcome in outcomes if not isinstance(outcome, Skip)]
    expected = matched(worker, samples)
    assert [sample.key for sample in kept] == [sample.key for sample in expected if sample.key != "000000001"]


@pytest.mark.parametrize(
    "caption",
    [
        pytest.param("word " * 400, id="over 77 tokens"),
        pytest.param("🐕" * 300, id="emoji"),
        pytest.param("كلب أحمر يجلس. قطة صغيرة تنام.", id="right to left"),
        pytest.param("No full stop", id="no full stop"),
        pytest.param("... !!! ...", id="no letter"),
        pytest.param("a" * 50_000, id="50,000 characters"),
    ],
)
def test_odd_captions_are_matched_like_any_other(
    worker: MatchWorker, samples: list[tuple[Sample, bytes]], caption: str
) -> None:
    sample, jpeg = samples[0]
    (found,) = matched(worker, [(replace(sample, caption=caption.strip()), jpeg)])
    assert list(inconsistencies(found)) == []


@pytest.mark.parametrize(
    ("mode", "size"),
    [
        ("CMYK", (300, 200)),
        ("L", (300, 200)),
        ("RGB", (8, 8)),
        ("RGB", (8, 800)),
        ("RGB", (800, 8)),
        ("RGB", (9, 77)),
    ],
)
def test_odd_pictures_are_matched_like_any_other(worker: MatchWorker, mode: str, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize(size).convert(mode).save(buffer, "JPEG")
    jpeg, info = store_image(buffer.getvalue(), 10**8)
    assert jpeg == buffer.getvalue()
    (found,) = matched(worker, [(Sample("000000000", "A gradient. Grey.", info, Source("odd", mode)), jpeg)])
    assert list(inconsistencies(found)) == []


@pytest.fixture(scope="module")
def seen(samples: list[tuple[Sample, bytes]]) -> tuple[Sample, Image.Image]:
    """A photograph with several objects, wider than high, whose sides are no multiples of a JPEG's blocks."""
    sample, jpeg = samples[1]
    return sample, open_rgb(jpeg).crop((0, 0, 601, 413))


def objects(sample: Sample, least: float = 0.4) -> list[Region]:
    assert sample.matched
    return [region for region in sample.matched.regions if region.kind == "object" and region.score >= least]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_any_orientation_has_the_same_regions(
    worker: MatchWorker, seen: tuple[Sample, Image.Image], orientation: int
) -> None:
    """From a camera's file through ingest to the regions of a real detector, in the picture as it is seen."""
    sample, picture = seen
    expected = objects(matched(worker, [stored_by_a_camera(sample, picture, 1)])[0], 0.5)
    assert len(expected) >= 2, "regions are left to compare"
    (found,) = matched(worker, [stored_by_a_camera(sample, picture, orientation)])
    assert (found.image.width, found.image.height) == picture.size
    assert list(inconsistencies(found)) == []
    for region in expected:
        alike = [other for other in objects(found) if other.label == region.label]
        assert max((iou(other.box, region.box) for other in alike), default=0) > 0.9, region


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_boxes_are_in_the_stored_pixels_of_a_dataset_that_asks_for_a_turn(
    worker: MatchWorker, seen: tuple[Sample, Image.Image], orientation: int
) -> None:
    """As ingest once left it, or another program: the picture data of the plain one behind an EXIF segment."""
    sample, picture = seen
    plain, jpeg = stored_by_a_camera(sample, picture, 1)
    asking = with_segments(jpeg, exif_segment(orientation))
    with Image.open(io.BytesIO(asking)) as image:
        assert image.getexif()[0x0112] == orientation
    found, expected = matched(worker, [(plain, asking)])[0], matched(worker, [(plain, jpeg)])[0]
    assert len(objects(expected)) >= 2, "regions are left to compare"
    assert found.matched == expected.matched


def stored_by_a_camera(sample: Sample, seen: Image.Image, orientation: int) -> tuple[Sample, bytes]:
    """The picture as a camera stores it that is held this way, ingested."""
    pixels = SHUFFLE[orientation](np.asarray(seen))
    camera = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(camera, "JPEG", quality=95)
    jpeg, info = store_image(with_segments(camera.getvalue(), exif_segment(orientation)), 10**8)
    return replace(sample, image=info), jpeg


def test_no_samples_no_outcomes(worker: MatchWorker) -> None:
    assert worker.match([]) == []
