"""The command on published benchmarks, with scenes in their layouts."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import render
from glitbuild.stages.scenes.shapes import COLOURS
from glitbuild.stages.scenes.world import make_scene
from tests.run import here
from tests.stages.evaluate.layouts import (
    Crop,
    FineGrained,
    crops,
    fgovd,
    image_folder,
    png,
    sugarcrepe,
    webdataset,
    winoground,
)

pytestmark = pytest.mark.slow

KINDS = ("bicycle", "cactus", "drum", "elephant", "flower", "house", "table", "turtle")


@pytest.fixture(scope="module")
def objects() -> list[Crop]:
    return [crop for crop in crops(60) if crop[0] in KINDS]


def evaluated(model: object, folder: Path, *more: object) -> dict[str, Any]:
    out = folder.parent / f"{folder.name}.json"
    words = ["eval", model, folder, "--context-length", 77, "--device", "cpu", "--out", out, *more]
    result = here(*words, cwd=folder.parent)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def reference(classes: list[str], templates: list[str], objects: list[Crop]) -> dict[str, float]:
    """The metrics of the demo model by open_clip's own means, one image at a time."""
    import torch
    from open_clip import get_tokenizer
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from glitbuild.clip.load import load_clip

    model, tokenizer = load_clip("demo").eval(), get_tokenizer("ViT-B-32")
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    hits: dict[str, list[tuple[bool, bool]]] = {}
    with torch.inference_mode():
        weights = []
        for name in classes:
            prompts = model.encode_text(tokenizer([one.format(c=name) for one in templates])).numpy()
            mean = (prompts / np.linalg.norm(prompts, axis=1, keepdims=True)).mean(axis=0)
            weights.append(mean / np.linalg.norm(mean))
        for kind, _, data in objects:
            image = model.encode_image(transform(Image.open(io.BytesIO(data)).convert("RGB"))[None]).numpy()[0]
            best = np.argsort([-float(image @ weight) for weight in weights])
            hits.setdefault(kind, []).append((classes[best[0]] == kind, kind in [classes[i] for i in best[:5]]))
    rows = np.array([of for found in hits.values() for of in found])
    recall = np.mean([np.mean([first for first, _ in found]) for found in hits.values()])
    return {"acc1": 100 * rows[:, 0].mean(), "acc5": 100 * rows[:, 1].mean(), "mean_per_class_recall": 100 * recall}


def test_the_demo_model_classifies_objects_of_scenes(objects: list[Crop], tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "kinds", [(kind, data) for kind, _, data in objects])
    found = evaluated("demo", folder, "--batch-size", 16)
    suite = found["suites"]["zeroshot"]
    assert suite["figures"]["images"]["acc1"] > 60  # chance is 12.5
    assert suite["figures"]["images"]["mean_per_class_recall"] > 55
    assert suite["figures"]["images"]["acc5"] > suite["figures"]["images"]["acc1"]
    assert suite["images"] == found["dataset"]["images"] == len(objects)
    assert suite["classes"] == found["dataset"]["samples"] == len(KINDS)
    assert suite["ties"] == 0
    assert suite["templates_from"] == "default (a photo of a {c}.)"
    assert found["dataset"]["manifest"].startswith("sha256:")
    assert str(tmp_path) not in json.dumps(found)


def test_a_webdataset_gives_what_its_images_give_as_a_folder(objects: list[Crop], tmp_path: Path) -> None:
    objects = sorted(objects[:50])
    kinds = sorted({kind for kind, _, _ in objects})
    templates = ["a {c}.", "the {c}"]
    samples = [(kinds.index(kind), data) for kind, _, data in objects]
    packed = evaluated("demo", webdataset(tmp_path / "wds", kinds, templates, [samples[:25], samples[25:]]))
    folder = image_folder(tmp_path / "folder", [(kind, data) for kind, _, data in objects])
    (folder / "zeroshot_classification_templates.txt").write_text("\n".join(templates))
    loose = evaluated("demo", folder, "--suite", "zeroshot")
    assert packed["suites"]["zeroshot"]["figures"] == loose["suites"]["zeroshot"]["figures"]
    assert packed["suites"]["zeroshot"]["figures"]["images"] == pytest.approx(reference(kinds, templates, objects))
    assert packed["suites"]["zeroshot"]["templates"] == 2
    assert packed["dataset"]["manifest"] == loose["dataset"]["manifest"]


def test_the_demo_model_tells_kinds_apart_in_sugarcrepes_layout(objects: list[Crop], tmp_path: Path) -> None:
    images = {f"{number:012d}.jpg": data for number, (_, _, data) in enumerate(objects)}
    rows = [
        (name, f"a {colour} {kind}.", f"a {colour} {KINDS[(KINDS.index(kind) + 1) % len(KINDS)]}.")
        for name, (kind, colour, _) in zip(images, objects, strict=True)
    ]
    folder = sugarcrepe(tmp_path / "crepe", {"replace_obj": rows, "add_att": [(rows[0][0], "a", "a")]}, images)
    suite = evaluated("demo", folder)["suites"]["sugarcrepe"]
    assert suite["figures"]["replace_obj"]["accuracy"] > 80  # chance is 50
    assert suite["figures"]["add_att"]["accuracy"] == 0  # the captions are the same: a tie
    assert suite["ties"] == 1
    assert suite["missing"].split()[0] == "add_obj.json"


def test_the_demo_model_pairs_kinds_in_winogrounds_layout(objects: list[Crop], tmp_path: Path) -> None:
    pairs = [(one, other) for one, other in zip(objects, objects[7:], strict=False) if one[0] != other[0]]
    examples = [(a[2], b[2], f"the {a[1]} {a[0]}.", f"the {b[1]} {b[0]}.") for a, b in pairs]
    found = evaluated("demo", winoground(tmp_path / "wino", examples))
    scores = found["suites"]["winoground"]["figures"]["examples"]
    assert scores["text"] > 60  # chance is 25
    assert scores["image"] > 60  # chance is 25
    assert 50 < scores["group"] <= min(scores["text"], scores["image"])  # chance is 16.7
    assert found["suites"]["winoground"]["examples"] == len(examples)


def fine_grained(scenes: int) -> tuple[list[FineGrained], dict[str, bytes]]:
    """Return boxes of objects with their descriptions, false ones with other colours, and the scenes."""
    options, rows, images = ScenesOptions(scenes, "unused", split="test"), list[FineGrained](), {}
    for index in range(scenes):
        scene = make_scene(options, index)
        name = f"val2017/{index:012d}.png"
        images[name] = png(render(scene))
        for thing in scene.things:
            if thing.visible > 0.9:
                (x1, y1, x2, y2), look = thing.box, thing.look
                others = [colour for colour in COLOURS if colour != look.colour]
                box = [x1 + 0.25, y1 + 0.5, x2 - x1 - 0.5, y2 - y1 - 1.25]
                false = [f"a {colour} {look.kind}." for colour in others]
                rows.append((name, box, f"a {look.colour} {look.kind}.", false))
    return rows, images


def ranked_independently(path: Path, count: int) -> list[int]:
    """The rank of each true caption by open_clip's own means, in the way of FG-OVD's CLIP evaluation."""
    import torch
    from open_clip import get_tokenizer
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from glitbuild.clip.load import load_clip

    model, tokenizer = load_clip("demo").eval(), get_tokenizer("ViT-B-32")
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    content, ranks = json.loads(path.read_text()), []
    files = {image["id"]: path.parent / image["file_name"] for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    with torch.inference_mode():
        for annotation in content["annotations"]:
            numbers = [annotation["category_id"], *annotation["neg_category_ids"]]
            if len(numbers) < 1 + count:
                continue
            image = Image.open(files[annotation["image_id"]]).convert("RGB")
            x, y, width, height = annotation["bbox"]
            right, bottom = min(math.ceil(x + width), image.width), min(math.ceil(y + height), image.height)
            crop = image.crop((max(math.floor(x), 0), max(math.floor(y), 0), right, bottom))
            texts = model.encode_text(tokenizer([names[number] for number in numbers[: 1 + count]]))
            seen = model.encode_image(transform(crop)[None])
            scores = torch.nn.functional.cosine_similarity(seen, texts).tolist()
            ranks.append(sum(score >= scores[0] for score in scores))
    return ranks


def test_fgovd_ranks_captions_as_an_independent_script_does(tmp_path: Path) -> None:
    rows, images = fine_grained(12)
    short = [(name, box, true, false[:9]) for name, box, true, false in rows[:3]]
    edge = (rows[0][0], [-3.5, -2, 2000, 1500], rows[0][2], rows[0][3])
    files = {"1_attributes": rows[3:] + short + [edge], "pattern": rows[:20]}
    folder = fgovd(tmp_path / "fgovd", files, images)
    suite = evaluated("demo", folder, "--batch-size", 16)["suites"]["fgovd"]
    for name, title, count in (("1_attributes", "hard", 10), ("pattern", "pattern", 7)):
        ranks = ranked_independently(folder / f"{name}.json", count)
        assert suite["figures"][title]["accuracy"] == pytest.approx(100 * np.mean([rank == 1 for rank in ranks]))
        assert suite["figures"][title]["mean_rank"] == pytest.approx(np.mean(ranks))
    assert suite["figures"]["hard"]["accuracy"] > 40  # chance is 9.1
    assert suite["examples"] == len(rows) - 2 + 20
    assert suite["too_few_false_captions"] == 3
    assert suite["missing"].split() == [
        *("2_attributes.json", "3_attributes.json", "shuffle_negatives.json"),
        *("color.json", "material.json", "transparency.json"),
    ]


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    good = png(Image.new("RGB", (32, 32)))
    folder = image_folder(tmp_path / "kinds", [("cat", good), ("dog", good[:60])])
    result = here("eval", "demo", folder, "--context-length", 77, "--device", "cpu", cwd=tmp_path)
    assert result.returncode == 1
    assert "dog/00001.png: " in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--suite", "retrieval"], "--suite retrieval: {folder} has the layout of zeroshot"),
        (["--workers", 2], "--workers 2: not supported for zeroshot"),
        (["--gpus", 1], "--gpus 1: not supported for zeroshot"),
        (["--cache", "kept"], "--cache kept: not supported for zeroshot"),
    ],
)
def test_what_a_benchmark_cannot_serve_is_refused(more: list[object], says: str, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "kinds", [("cat", b"1"), ("dog", b"2")])
    result = here("eval", "demo", folder, *more, cwd=tmp_path)
    assert result.returncode == 2
    assert says.format(folder=folder) in result.stderr
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_of_no_known_layout_is_told_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "1.png").write_bytes(b"")
    result = here("eval", "demo", "mine", cwd=tmp_path)
    assert result.returncode == 2
    line = result.stderr.splitlines()[-1]
    for name in ("manifest.json", "one per class", "test/nshards.txt", "add_att.json", "examples.jsonl"):
        assert name in line


def test_a_dataset_is_no_benchmark(scenes: Path, tmp_path: Path) -> None:
    result = here("eval", "demo", scenes, "--suite", "zeroshot", cwd=tmp_path)
    assert result.returncode == 2
    assert "--suite zeroshot: " in result.stderr
    assert "is a dataset directory, not a benchmark" in result.stderr
