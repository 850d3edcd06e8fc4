"""Published benchmarks in their own layouts, and objects of drawn scenes to fill them with."""

import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import render
from glitbuild.stages.scenes.world import make_scene

Crop = tuple[str, str, bytes]
"""Kind of an object, its colour, and a PNG of it."""


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def crops(scenes: int, least_side: int = 40) -> list[Crop]:
    """Return the objects of some scenes that are easy to see."""
    options, found = ScenesOptions(scenes, "unused", split="test"), []
    for index in range(scenes):
        scene = make_scene(options, index)
        image = render(scene)
        for thing in scene.things:
            x1, y1, x2, y2 = thing.box
            if thing.visible > 0.9 and min(x2 - x1, y2 - y1) >= least_side:
                found.append((thing.look.kind, thing.look.colour, png(image.crop(thing.box))))
    return found


def image_folder(root: Path, images: Iterable[tuple[str, bytes]]) -> Path:
    """Write one sub-folder per class."""
    for number, (name, data) in enumerate(images):
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05d}.png").write_bytes(data)
    return root


def webdataset(
    root: Path, classes: Sequence[str], templates: Sequence[str], shards: Sequence[Sequence[tuple[object, bytes]]]
) -> Path:
    """Write CLIP_benchmark's layout; each sample is a label and a PNG."""
    (root / "test").mkdir(parents=True)
    (root / "classnames.txt").write_text("".join(f"{name}\n" for name in classes))
    (root / "dataset_type.txt").write_text("classification\n")
    if templates:
        (root / "zeroshot_classification_templates.txt").write_text("".join(f"{one}\n" for one in templates))
    (root / "test" / "nshards.txt").write_text(f"{len(shards)}\n")
    number = 0
    for shard, samples in enumerate(shards):
        with tarfile.open(root / "test" / f"{shard}.tar", "w") as tar:
            for label, data in samples:
                for name, content in ((f"s{number:07d}.cls", str(label).encode()), (f"s{number:07d}.png", data)):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
                number += 1
    return root


def sugarcrepe(root: Path, files: dict[str, list[tuple[str, str, str]]], images: dict[str, bytes]) -> Path:
    """Write SugarCrepe's files, each with rows of an image's name, the true and the false caption."""
    (root / "val2017").mkdir(parents=True)
    for name, data in images.items():
        (root / "val2017" / name).write_bytes(data)
    for file, rows in files.items():
        content = {
            str(number): dict(zip(("filename", "caption", "negative_caption"), row, strict=True))
            for number, row in enumerate(rows)
        }
        (root / f"{file}.json").write_text(json.dumps(content, indent=4))
    return root


def winoground(root: Path, examples: Sequence[tuple[bytes, bytes, str, str]]) -> Path:
    """Write Winoground's layout; each example has two PNGs and two captions."""
    (root / "images").mkdir(parents=True)
    with (root / "examples.jsonl").open("w") as file:
        for number, (one, other, caption, other_caption) in enumerate(examples):
            names = [f"ex_{number}_img_{image}" for image in (0, 1)]
            for name, data in zip(names, (one, other), strict=True):
                (root / "images" / f"{name}.png").write_bytes(data)
            row = {"id": number, "image_0": names[0], "image_1": names[1]}
            row |= {"caption_0": caption, "caption_1": other_caption, "tag": "Adjective-Color", "num_main_preds": 1}
            file.write(json.dumps(row) + "\n")
    return root


FineGrained = tuple[str, Sequence[float], str, Sequence[str]]
"""Name of an image, a box in it as corner, width and height, the true caption, and the false ones."""


def fgovd(root: Path, files: dict[str, list[FineGrained]], images: dict[str, bytes]) -> Path:
    """Write FG-OVD's files, each with its own numbers for images and captions."""
    for name, data in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for file, rows in files.items():
        names = sorted({row[0] for row in rows})
        content: dict[str, list[object]] = {"annotations": [], "categories": []}
        content["images"] = [{"id": 500 + n, "file_name": name, "width": 1} for n, name in enumerate(names)]
        for name, box, true, false in rows:
            first = len(content["categories"])
            content["categories"] += [{"id": first + n, "name": text} for n, text in enumerate((true, *false))]
            numbers = [first + 1 + n for n in range(len(false))]
            annotation = {"id": first, "image_id": 500 + names.index(name), "bbox": box, "category_id": first}
            content["annotations"].append(annotation | {"neg_category_ids": numbers})
        (root / f"{file}.json").write_text(json.dumps(content))
    return root


def lay_out_benchmarks(folder: Path) -> None:
    """Write a small benchmark in each layout, under the names in ``docs/benchmarks.md``."""
    objects = crops(4)
    kinds = sorted({kind for kind, _, _ in objects})
    image_folder(folder / "kinds", [(kind, data) for kind, _, data in objects])
    samples = [(kinds.index(kind), data) for kind, _, data in objects]
    webdataset(folder / "wds", kinds, ["a photo of a {c}.", "a drawing of a {c}."], [samples[::2], samples[1::2]])
    (_, colour, one), (_, other_colour, other) = objects[:2]
    rows = [("1.jpg", f"a {colour} thing", f"a {other_colour} thing")]
    sugarcrepe(folder / "sugarcrepe", {"replace_att": rows}, {"1.jpg": one})
    winoground(folder / "winoground", [(one, other, f"a {colour} thing", f"a {other_colour} thing")])
    false = [f"a {other_colour} thing", "a thing"]
    row = ("val2017/1.png", [0, 0, 20.5, 20], f"a {colour} thing", false)
    fgovd(folder / "fgovd", {"transparency": [row]}, {"val2017/1.png": one})
