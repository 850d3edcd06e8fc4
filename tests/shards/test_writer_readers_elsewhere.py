"""What others read of our datasets: every sample, with its caption, by their own loaders as they are."""

import inspect
import io
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import open_clip
import open_clip_train.data
import pytest
import torch
import webdataset
from open_clip_train.data import get_wds_dataset
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from glitbuild.records import Sample
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from tests.run import here

pytestmark = pytest.mark.slow

# Nothing is detected in the first pictures, which are of one colour: `datasets` infers types from the first five.
SAMPLES, SHARDS, BLANK = 12, 3, 6
NAMES = ("raw", "pairs", "scenes")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an ingested, a matched and a drawn dataset of three shards each, and images alone."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "photos").mkdir()
    for words in (
        f"scenes --count {SAMPLES} --shard-size 4 --out scenes",
        "ingest photos --shard-size 4 --out raw",
        "ingest photos --shard-size 4 --out bare --no-captions",
        "match raw --workers 0 --detector demo --clip-model demo --out pairs",
    ):
        result = here(*words.split(), cwd=folder)
        assert result.returncode == 0, result.stderr
        if words.startswith("scenes"):
            for number, (sample, picture) in enumerate(samples(folder / "scenes")):
                path = folder / "photos" / f"{number:02d}.jpg"
                if number < BLANK:
                    Image.new("RGB", (64, 48), (9 * number, 99, 99)).save(path)
                else:
                    path.write_bytes(picture)
                (folder / "photos" / f"{number:02d}.txt").write_text(f"{sample.caption} Naïve “{number}” 雨.")
    matched = [sample.matched for sample, _ in samples(folder / "pairs")]
    found = [any(region.kind == "object" for region in of.regions) for of in matched if of]
    assert not any(found[:BLANK]) and any(found[BLANK:]), found
    return folder


def samples(dataset: Path) -> list[tuple[Sample, bytes]]:
    store, manifest = open_dataset(str(dataset))
    return [sample for entry in manifest.shards for sample in read_shard(store, entry.name, entry.sha256)]


def captions(dataset: Path) -> list[str]:
    return [sample.caption for sample, _ in samples(dataset)]


def tars(dataset: Path) -> str:
    return f"{dataset}/shards/{{00000..{SHARDS - 1:05d}}}.tar"


@pytest.fixture
def loader_of_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let open_clip's loader run beside a webdataset newer than 0.2.86, the last that it allows.

    Newer ones mark the end of a shard by an empty sample, on which the loader fails whatever it reads (open_clip's
    issue 935, whose remedy this is).
    """
    expander = open_clip_train.data.tar_file_expander
    if "eof_value" in inspect.signature(expander).parameters:
        monkeypatch.setattr(open_clip_train.data, "tar_file_expander", partial(expander, eof_value=None))


@pytest.mark.usefixtures("loader_of_open_clip")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("train_num_samples", "workers"), [(None, 1), (SAMPLES, 0)])
def test_open_clip_trains_on_every_sample(
    world: Path, name: str, train_num_samples: int | None, workers: int
) -> None:
    """The loader of `open_clip_train.main --train-data ... --dataset-type webdataset`, as that command calls it."""
    expected = samples(world / name)
    by_mean = {
        sample.caption: pil_to_tensor(Image.open(io.BytesIO(data))).float().mean() for sample, data in expected
    }
    args = Namespace(
        train_data=tars(world / name),
        train_data_upsampling_factors=None,
        train_num_samples=train_num_samples,
        dataset_resampled=False,
        seed=0,
        batch_size=4,
        workers=workers,
        world_size=1,
    )

    def tokenize(text: str) -> torch.Tensor:
        return torch.tensor([list(text.encode().ljust(4000, b"\0"))], dtype=torch.uint8)

    info = get_wds_dataset(
        args, lambda image: pil_to_tensor(image).float().mean(), is_train=True, tokenizer=tokenize
    )
    assert (info.dataloader.num_samples, info.dataloader.num_batches) == (SAMPLES, SHARDS)
    seen: dict[str, torch.Tensor] = {}
    for images, tokens in info.dataloader:
        for mean, text in zip(images, tokens, strict=True):
            seen[bytes(text.tolist()).rstrip(b"\0").decode()] = mean
    assert seen.keys() == by_mean.keys() and len(seen) == SAMPLES
    assert all(torch.isclose(seen[caption], by_mean[caption]) for caption in seen)


def test_open_clip_evaluates_on_every_sample(world: Path) -> None:
    args = Namespace(val_data=tars(world / "pairs"), val_num_samples=None, batch_size=5, workers=1, world_size=1)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    info = get_wds_dataset(args, pil_to_tensor_of_one_size, is_train=False, tokenizer=tokenizer)
    tokens = torch.cat([tokens for _, tokens in info.dataloader])
    assert torch.equal(tokens, tokenizer(captions(world / "pairs")))


def pil_to_tensor_of_one_size(image: Image.Image) -> torch.Tensor:
    return pil_to_tensor(image.resize((8, 8)))


@pytest.mark.parametrize("name", [*NAMES, "bare"])
def test_webdataset_reads_every_sample(world: Path, name: str) -> None:
    expected = samples(world / name)
    read = list(webdataset.WebDataset(tars(world / name), shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in read] == [sample.key for sample, _ in expected]
    assert [sample["json"]["caption"] for sample in read] == captions(world / name)
    assert [sample.get("txt", "") for sample in read] == captions(world / name)
    assert all(("txt" in sample) == (name != "bare") for sample in read)
    assert [sample["jpg"].size for sample in read] == [(of.image.width, of.image.height) for of, _ in expected]


@pytest.mark.parametrize("name", [*NAMES, "bare"])
@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_reads_every_sample(world: Path, name: str, streaming: bool, tmp_path: Path) -> None:
    files = str(world / name / "shards" / "*.tar")
    loaded = datasets.load_dataset(
        "webdataset", data_files=files, split="train", cache_dir=str(tmp_path), streaming=streaming
    )
    read = list(loaded)
    assert sorted(row["json"]["caption"] for row in read) == sorted(captions(world / name))
    assert all(row.get("txt", "") == row["json"]["caption"] for row in read)
    assert loaded.features.get("txt") == (None if name == "bare" else datasets.Value("string"))
    by_key = {sample.key: sample for sample, _ in samples(world / name)}
    for row in read:
        assert row["jpg"].size == (by_key[row["__key__"]].image.width, by_key[row["__key__"]].image.height)
        if name == "pairs":
            matched = by_key[row["__key__"]].matched
            assert matched
            assert [region["label"] for region in row["json"]["regions"]] == [of.label for of in matched.regions]


@pytest.mark.parametrize("name", [*NAMES, "bare"])
def test_ray_data_reads_every_sample(world: Path, name: str, ray_here: Any) -> None:
    rows = ray_here.data.read_webdataset(str(world / name / "shards"), file_extensions=["tar"]).take_all()
    expected = {sample.key: sample for sample, _ in samples(world / name)}
    assert sorted(row["__key__"] for row in rows) == sorted(expected)
    for row in rows:
        sample = expected[row["__key__"]]
        assert row.get("txt", "") == row["json"]["caption"] == sample.caption
        assert row["jpg"].shape == (sample.image.height, sample.image.width, 3)


@pytest.fixture(scope="module")
def ray_here() -> Any:
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)  # not what another test started
    yield ray
    ray.shutdown()
