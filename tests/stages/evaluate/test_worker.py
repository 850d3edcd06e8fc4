"""What is gathered of a dataset, against the model applied to one thing at a time."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glitbuild.clip.encoder import ClipEncoder
from glitbuild.clip.load import ClipSpec
from glitbuild.clip.patches import Grid
from glitbuild.errors import DatasetError
from glitbuild.flism.regions import pixels
from glitbuild.records import Sample
from glitbuild.shards.layout import truth_path
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.sidecar import Sidecar
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.embedded import Embedded, joined
from glitbuild.stages.evaluate.localization import chance, locate, patch_centres, patches_in_boxes
from glitbuild.stages.evaluate.options import AVERAGING, JOINT, LOCALIZATION, RETRIEVAL, ROBUSTNESS, Plan
from glitbuild.stages.evaluate.worker import Look, embed_shard
from tests.factories import matched_sample_with_jpeg, sample_with_jpeg
from tests.stages.evaluate.conftest import renumbered

Write = Callable[[list[list[tuple[Sample, bytes]]], str], Path]


@pytest.fixture(scope="module")
def encoder(model: Path) -> ClipEncoder:
    return ClipEncoder(ClipSpec.parse(str(model)), "cpu", image_batch=2, text_batch=2, context_length=77)


def collect(encoder: ClipEncoder, folder: Path, plan: Plan) -> Embedded:
    store, manifest = open_dataset(str(folder))
    return joined(embed_shard(encoder, plan, store, entry, 2, 2) for entry in manifest.shards)


def text(encoder: ClipEncoder, words: str) -> np.ndarray:
    return encoder.texts(encoder.tokenize([words]))[0]


def crop(encoder: ClipEncoder, jpeg: bytes, box: tuple[float, float, float, float]) -> np.ndarray:
    image = Image.open(BytesIO(jpeg)).convert("RGB")
    return encoder.images([encoder.preprocess.crop(image, pixels(box, *image.size))])[0]


def five_captions(number: int) -> list[tuple[Sample, bytes]]:
    sample = matched_sample_with_jpeg(number)
    return [sample, renumbered(sample, number + 100, sample[0].caption)]


@pytest.mark.slow
def test_equal_pictures_are_one_image_with_several_captions(
    encoder: ClipEncoder, write_dataset: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = (
        sample_with_jpeg(number, f"Noise {number}. " + "Many colours. " * number) for number in (1, 2, 30)
    )
    shards = [
        [one, two, renumbered(one, 11, "Noise again.")],
        [renumbered(two, 12, "A second look at two.")],
        [],
        [three, renumbered(one, 13, "Noise 1. Many colours.")],
    ]
    looked: list[str] = []
    views = Look.views
    monkeypatch.setattr(Look, "views", lambda look, *args: looked.append(look.sample.key) or views(look, *args))
    found = collect(encoder, write_dataset(shards, "ingest"), Plan((RETRIEVAL,), "", ""))
    assert found.image_of.tolist() == [0, 1, 0, 1, 2, 0]
    again = [shards[1][0][0].key, shards[3][1][0].key]  # shards are independent of each other
    assert looked == [one[0].key, two[0].key, again[0], three[0].key, again[1]]
    samples = [sample for shard in shards for sample in shard]
    for row, (sample, _) in zip(found.captions, samples, strict=True):
        assert row == pytest.approx(text(encoder, sample.caption), abs=1e-5)
    for row, (_, jpeg) in zip(found.images, (one, two, three), strict=True):
        assert row == pytest.approx(crop(encoder, jpeg, (0, 0, 32, 24)), abs=1e-5)
    assert found.truncated == 1
    assert len(found.split) == len(found.averaged) == len(found.crops) == len(found.located.hits) == 0


def test_sentences_are_those_of_the_record_or_are_found(encoder: ClipEncoder, write_dataset: Write) -> None:
    caption = "A dog sits. A red ball lies on the left."
    (matched, jpeg) = matched_sample_with_jpeg(1)
    assert matched.matched
    whole = replace(matched, matched=replace(matched.matched, sentences=((0, 8), (9, len(caption)))))
    plan = Plan((ROBUSTNESS, AVERAGING), "", "")
    for sample, stage, sentences in (
        ((whole, jpeg), "match", ["A dog si", caption[9:]]),
        (sample_with_jpeg(1), "ingest", ["A dog sits.", "A red ball lies on the left."]),
    ):
        found = collect(encoder, write_dataset([[sample]], stage), plan)
        assert found.split[0].text == caption
        assert found.split[0].sentences() == sentences
        mean = np.mean([text(encoder, sentence) for sentence in sentences], axis=0)
        assert found.averaged[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


@pytest.mark.parametrize("pairs", ["best", "all"])
def test_regions_of_pairs_are_cropped_once_and_sentences_kept(
    encoder: ClipEncoder, write_dataset: Write, pairs: str
) -> None:
    shards = [
        five_captions(0),
        [
            *five_captions(1),
            renumbered(matched_sample_with_jpeg(0), 200, "A dog sits. A red ball lies on the left."),
        ],
    ]
    found = collect(encoder, write_dataset(shards, "match"), Plan((JOINT,), "", pairs))
    samples = [sample for shard in shards for sample in shard]
    regions, sentences = [], []
    for (sample, jpeg), image in zip(samples, found.image_of, strict=True):
        assert sample.matched
        chosen = sample.matched.pairs if pairs == "all" else [sample.matched.pairs[sample.matched.best_pair]]
        for pair in chosen:
            box = sample.matched.regions[pair.region].box
            regions.append((int(image), box, jpeg))
            start, end = sample.matched.sentences[pair.sentence]
            sentences.append((int(image), sample.caption[start:end]))
    distinct = list(dict.fromkeys(regions))
    assert found.crop_image.tolist() == [image for image, _, _ in distinct]
    for row, (_, box, jpeg) in zip(found.crops, distinct, strict=True):
        assert row == pytest.approx(crop(encoder, jpeg, box), abs=1e-5)
    assert found.sentence_image.tolist() == [image for image, _ in sentences]
    for row, (_, words) in zip(found.sentences, sentences, strict=True):
        assert row == pytest.approx(text(encoder, words), abs=1e-5)


@pytest.mark.slow
def test_sentences_are_looked_for_where_the_best_pair_is(encoder: ClipEncoder, write_dataset: Write) -> None:
    shards = [five_captions(0), [*five_captions(1), *five_captions(0)[1:]]]
    shards[1][-1] = renumbered(shards[1][-1], 300, shards[1][-1][0].caption)
    found = collect(encoder, write_dataset(shards, "match"), Plan((LOCALIZATION,), "best pairs", ""))
    assert len(found.images) == 2
    expected = []
    for sample, jpeg in [shards[0][0], shards[0][1], shards[1][0], shards[1][1], shards[1][2]]:
        image = Image.open(BytesIO(jpeg)).convert("RGB")
        view = encoder.preprocess.crop(image, (0, 0, *image.size))
        patches = encoder.images_with_patches([view])[0].patches
        centres = patch_centres(encoder.preprocess.visible(*image.size), Grid(4, 0.25))
        inside = patches_in_boxes(centres, [(1.0, 2.0, 30.5, 20.0)])[None]
        words = text(encoder, sample.caption[12:])[None]
        expected.append((locate(patches, words, inside)[0], chance(inside)[0]))
    assert found.located.hits.tolist() == [hits.tolist() for hits, _ in expected]
    assert found.located.chance == pytest.approx(np.stack([by_chance for _, by_chance in expected]))
    assert found.located.unseen == 0


def test_truth_gives_the_true_sentences_about_one_object(encoder: ClipEncoder, scenes: Path) -> None:
    import json

    found = collect(encoder, scenes, Plan((LOCALIZATION,), "truth", ""))
    rows = [json.loads(line) for path in sorted((scenes / "truth").iterdir()) for line in path.open()]
    sentences = [of for row in rows for of in row["sentences"] if of["about"] == "object" and of["true"]]
    assert len(found.located.hits) == len(sentences) > 8
    assert len(found.located.chance) == len(sentences)
    assert found.located.unseen == int((found.located.chance == 0).all(axis=1).sum())


@pytest.mark.slow
def test_damaged_parts_are_named(encoder: ClipEncoder, scenes: Path, write_dataset: Write, tmp_path: Path) -> None:
    import shutil

    sample, _ = sample_with_jpeg(1)
    folder = write_dataset([[(sample, b"no JPEG")]], "ingest")
    with pytest.raises(DatasetError, match=f"image {sample.key}: damaged JPEG"):
        collect(encoder, folder, Plan((RETRIEVAL,), "", ""))
    copy = shutil.copytree(scenes, tmp_path / "copy")
    path = copy / truth_path("00001")
    lines = path.read_bytes().splitlines(keepends=True)
    store = Store(str(copy))
    sidecar = Sidecar.read(store, "00001")
    assert sidecar
    for content, says in ((lines[1:], "do not match the samples"), ([b"{}\n"], "must contain")):
        path.write_bytes(b"".join(content))
        with pytest.raises(DatasetError, match="not the one in the sidecar"):
            collect(encoder, copy, Plan((LOCALIZATION,), "truth", ""))
        files = sidecar.files | {truth_path("00001"): store.stored(truth_path("00001"))}
        replace(sidecar, files=files).write(store)
        with pytest.raises(DatasetError, match=says):
            collect(encoder, copy, Plan((LOCALIZATION,), "truth", ""))
        sidecar.write(store)
    path.unlink()
    with pytest.raises(DatasetError, match="missing"):
        collect(encoder, copy, Plan((LOCALIZATION,), "truth", ""))
