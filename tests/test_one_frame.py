"""One frame for pictures: what trains, evaluates, describes and shows them sees the pixels as stored.

Datasets of other programs, and those that ingest once made, have JPEGs whose EXIF data ask for a turn. Nothing of
ours follows them, as boxes don't; a picture and its twin without EXIF data look the same everywhere.
"""

import base64
from pathlib import Path

import numpy as np
import pytest

from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import clip_tokenizer
from glitbuild.records import Sample
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.caption import endpoint as picture
from glitbuild.stages.evaluate.worker import Look
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.publish.page.card import crop, thumbnail
from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview
from glitbuild.stages.publish.sheet import Example, contact_sheet
from glitbuild.stages.train.data import ExampleMaker
from tests.images.exif_bytes import exif_segment, with_segments, xmp_segment
from tests.images.turns import assert_upright, camera
from tests.stages.ingest.conftest import save
from tests.stages.publish.page.datasets import scene, write

PREPROCESS = Preprocess(32, False, 3, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PAIRS = [("A red dog in a corner.", 5, 0.4), ("A quarter of it.", 1, 0.2)]
TURNS = [[exif_segment(6)], [exif_segment(3, order="<")], [exif_segment(8), xmp_segment(8)], [xmp_segment(5)]]


@pytest.fixture(params=TURNS, ids=["6", "3", "8 twice", "5 in XMP"])
def twins(request: pytest.FixtureRequest) -> tuple[Sample, bytes, bytes]:
    """A matched sample, its JPEG, and the same picture asking for a turn."""
    sample, plain = scene(3, PAIRS)
    return sample, plain, with_segments(plain, *request.param)


def test_training_sees_the_same_views(twins: tuple[Sample, bytes, bytes]) -> None:
    sample, plain, asking = twins
    maker = ExampleMaker(PREPROCESS, clip_tokenizer("ViT-B-32"), 77)
    one, other = (maker.make(sample, data, (0, 0)) for data in (plain, asking))
    assert np.array_equal(one.image, other.image) and np.array_equal(one.crop, other.crop)
    assert one.window == other.window and one.box == other.box == (10.0, 20.0, 50.5, 70.0)


def test_evaluation_sees_the_same_crops(twins: tuple[Sample, bytes, bytes]) -> None:
    sample = twins[0]
    views = [Look(sample, data, 0, [(0, 0, 60, 45), (10, 20, 50, 70)]).views(PREPROCESS) for data in twins[1:]]
    assert len(views[0]) == 3
    assert all(np.array_equal(one, other) for one, other in zip(*views, strict=True))


def test_pages_and_sheets_show_the_same(twins: tuple[Sample, bytes, bytes], tmp_path: Path) -> None:
    sample, plain, asking = twins
    assert thumbnail(asking, 60) == thumbnail(plain, 60)
    assert crop(asking, (10, 20, 50, 70), 60) == crop(plain, (10, 20, 50, 70), 60)
    pages = []
    for number, data in enumerate((plain, asking)):
        folder = write(tmp_path / str(number) / "data", [(sample, data)])
        run_preview(PreviewOptions(folder, str(tmp_path / f"{number}.html")), plain=True)
        pages.append((tmp_path / f"{number}.html").read_bytes())
        contact_sheet(tmp_path / f"{number}.png", [Example(sample, data, [])])
    assert b"data:image/jpeg;base64," in pages[0] and pages[0] == pages[1]
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()


@pytest.mark.parametrize("max_side", [200, 50])
def test_a_model_that_describes_it_is_sent_the_same(twins: tuple[Sample, bytes, bytes], max_side: int) -> None:
    _, plain, asking = twins
    assert picture.data_url(asking, max_side) == picture.data_url(plain, max_side)


@pytest.mark.parametrize("orientation", [1, 2, 6, 7])
def test_what_ingest_stores_is_upright_for_all_of_them(orientation: int, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    data = with_segments(save(camera(orientation), "JPEG", quality=95), exif_segment(orientation))
    (tmp_path / "photos" / "a.jpg").write_bytes(data)
    (tmp_path / "photos" / "a.txt").write_text("Four colours.")
    run_ingest(IngestOptions((str(tmp_path / "photos"),), str(tmp_path / "data")))
    store, manifest = open_dataset(str(tmp_path / "data"))
    ((sample, stored),) = read_shard(store, manifest.shards[0].name, manifest.shards[0].sha256)
    assert_upright(stored)
    assert_upright(thumbnail(stored, 48), tolerance=20)
    assert_upright(base64.b64decode(picture.data_url(stored, 100).partition(",")[2]))
    whole, lower_left = Look(sample, stored, 0, [(2, 18, 22, 30)]).views(PREPROCESS)
    red, green, blue = lower_left.reshape(-1, 3).mean(axis=0)
    assert blue > 150 > 80 > max(red, green), "the lower left is blue"
    assert whole.shape == lower_left.shape
