"""The method as programs call it: the same as the command, on images in memory and in files."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
from PIL import Image

import glitbuild
from glitbuild.clip.precision import choose_precision
from glitbuild.errors import ConfigError, GlitbuildError, ModelError
from glitbuild.flism.flism import FLISM, CaptionedImage, _windows
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from tests.images.turns import SHUFFLE
from tests.run import here

CAPTION = "A red ball lies on the left. A dog stands on the right."


@pytest.fixture(scope="module")
def flism() -> FLISM:
    return glitbuild.FLISM(detector="demo", clip="demo", device="cpu", precision="fp32")


def noise(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.mark.slow
def test_it_is_what_the_command_does(tmp_path: Path) -> None:
    assert here("scenes", "--count", 3, "--out", "scenes", cwd=tmp_path).returncode == 0
    options = ["--detector", "demo", "--clip-model", "demo", "--out", "pairs"]
    assert here("match", "scenes", *options, cwd=tmp_path).returncode == 0
    store, manifest = open_dataset(str(tmp_path / "pairs"))
    samples = list(read_shard(store, manifest.shards[0].name, manifest.shards[0].sha256))
    for number, (_, jpeg) in enumerate(samples):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg)
    paths = [tmp_path / f"{number}.jpg" for number in range(len(samples))]
    flism, captions = glitbuild.FLISM(detector="demo", clip="demo"), [sample.caption for sample, _ in samples]
    for images in (paths, [str(path) for path in paths], [Image.open(path) for path in paths]):
        for (sample, _), found in zip(samples, flism(images, captions), strict=True):
            assert sample.matched
            assert (found.regions, found.best.text) == (sample.matched.regions, sample.best.text)
            assert found.pairs == sample.pairs


@pytest.mark.slow
def test_it_computes_in_the_precision_that_is_asked_for() -> None:
    found = [
        glitbuild.FLISM("none", "demo", device="cpu", precision=precision)(noise(), CAPTION).pairs[0].similarity
        for precision in ("fp32", None, "bf16", choose_precision("auto", "cpu"), "auto")
    ]
    assert found[0] == found[1] != found[2] == pytest.approx(found[0], abs=0.01)
    assert found[3] == found[4]


@pytest.mark.slow
def test_a_list_gives_what_each_image_alone_gives(flism: FLISM) -> None:
    images, captions = [noise(seed=1), noise(90, 50, seed=2)], [CAPTION, "A tree."]
    together = flism(images, captions)
    for image, caption, found in zip(images, captions, together, strict=True):
        alone = flism(image, caption)
        assert [(pair.text, pair.box) for pair in alone.pairs] == [(pair.text, pair.box) for pair in found.pairs]
        similarities = [pair.similarity for pair in found.pairs]
        assert [pair.similarity for pair in alone.pairs] == pytest.approx(similarities, abs=1e-4)
        assert found.best.similarity == max(similarities)
    assert flism([], []) == []


@pytest.mark.slow
def test_a_model_in_memory_is_used_as_it_is(flism: FLISM) -> None:
    model = glitbuild.load_clip("demo")
    by_model = glitbuild.FLISM("demo", model, precision="fp32")
    assert by_model(noise(), CAPTION) == flism(noise(), CAPTION)
    model.train()
    with pytest.raises(ModelError, match="training mode"):
        by_model(noise(), CAPTION)


def test_a_model_in_memory_with_another_vocabulary_is_refused() -> None:
    model = open_clip.CLIP(
        16,
        {"image_size": 32, "patch_size": 16, "width": 16, "layers": 1, "head_width": 8},
        {"vocab_size": 32_000, "width": 16, "heads": 2, "layers": 1},
    ).eval()
    open_clip.model.set_model_preprocess_cfg(model, vars(open_clip.transform.PreprocessCfg(size=32)).copy())
    with pytest.raises(ModelError, match=r"32,000 tokens"):
        glitbuild.FLISM("none", model)


@pytest.mark.slow
def test_an_image_file_is_upright_and_an_image_in_memory_that_is_not_is_refused(
    flism: FLISM, tmp_path: Path
) -> None:
    image, path = noise(80, 40), tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(SHUFFLE[6](np.asarray(image)))).save(path, exif=exif)
    expected = {region.box for region in flism(image, CAPTION).regions if region.kind != "object"}
    assert {region.box for region in flism(path, CAPTION).regions if region.kind != "object"} == expected
    with pytest.raises(ConfigError, match=r"orientation 6.*exif_transpose"):
        flism(Image.open(path), CAPTION)


@pytest.mark.slow
def test_an_image_in_memory_is_seen_on_white_and_left_alone(flism: FLISM) -> None:
    clear = Image.merge("RGBA", (*noise().split(), Image.new("L", (64, 48), 0)))
    white = Image.new("RGB", (64, 48), "white")
    assert flism(clear, CAPTION) == flism(white, CAPTION)
    white.info["dpi"] = (72, 72)
    flism(white, CAPTION)
    assert white.info == {"dpi": (72, 72)}


@pytest.mark.slow
def test_what_cannot_be_matched_is_refused_by_name(flism: FLISM, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    refused = [
        (noise(), " \n", ConfigError, "caption ' .n'"),
        ([noise()], [CAPTION, CAPTION], ConfigError, "1 images and 2 captions"),
        (noise(), [CAPTION], ConfigError, "one image"),
        (tmp_path / "none.jpg", CAPTION, GlitbuildError, "none.jpg"),
        (tmp_path / "text.jpg", CAPTION, GlitbuildError, "text.jpg: image_not_an_image"),
        (Image.new("F", (64, 48)), CAPTION, GlitbuildError, "image_mode"),
    ]
    for image, caption, error, message in refused:
        with pytest.raises(error, match=message):
            flism(image, caption)  # type: ignore[call-overload]
    with pytest.raises(ModelError, match=r"^clip ViT-X"):
        glitbuild.FLISM("none", ("ViT-X", "openai"))
    with pytest.raises(ConfigError, match="precision='int4'"):
        glitbuild.FLISM("none", "demo", precision="int4")
    with pytest.raises(ConfigError, match="min-area"):
        glitbuild.FLISM("none", "demo", min_area=0.9)


def test_windows_hold_few_images_and_few_pixels() -> None:
    megapixels = [40, 30, 90, 1, *[1] * 70, 63, 2]
    jobs = [CaptionedImage(str(i), 1000, 1000 * size, noise) for i, size in enumerate(megapixels)]
    windows = _windows(jobs)
    assert [job for window in windows for job in window] == jobs
    assert [len(window) for window in windows] == [1, 1, 1, 32, 32, 7, 1, 1]
