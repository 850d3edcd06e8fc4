"""Tiny corpora in the layout of the official downloads, with drawn pictures and made-up captions."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.factories import jpeg

EXAMPLE = "A chequered cloth lies on a table. On the left there is a blue bowl."


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(64, 48, seed))
    return path


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def docci(root: Path) -> Path:
    names = [
        ("train_00000", "train"),
        ("qual_dev_00000", "qual_dev"),
        ("test_00000", "test"),
        ("test_00001", "test"),
    ]
    for seed, (name, _) in enumerate(names):
        picture(root / "images" / f"{name}.jpg", seed)
    rows = [
        {"example_id": name, "split": split, "image_file": f"{name}.jpg", "description": f"{EXAMPLE} {name}."}
        for name, split in names
    ]
    lines(root / "docci_descriptions.jsonlines", rows)
    return root


def dci(root: Path) -> Path:
    splits: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for number, split in enumerate(["train", "test", "valid"], start=9):
        name = f"{number}-data.json"
        splits[split].append(name)
        picture(root / "photos" / f"sa_{1543970 + number}.jpg", number)
        bounds = {"topLeft": {"x": 4, "y": 5}, "bottomRight": {"x": 14, "y": 25}}
        mask = {"idx": 0, "label": "bowl", "caption": "A blue bowl.", "outer_mask": "iVBO", "mask_quality": 0}
        entry = {
            "image": f"sa_{1543970 + number}.jpg",
            "short_caption": f"A cloth on table {number}.",
            "extra_caption": EXAMPLE,
            "mask_data": {"0": mask | {"bounds": bounds}},
            "mask_keys": ["0"],
        }
        (root / "complete").mkdir(exist_ok=True)
        (root / "complete" / name).write_text(json.dumps(entry))
    (root / "splits.json").write_text(json.dumps(splits))
    return root


def sa1b(root: Path) -> Path:
    for folder, numbers in (("sa_000000", (9, 10)), ("sa_000001", (11200,))):
        for number in numbers:
            path = picture(root / folder / f"sa_{number}.jpg", number)
            image = {"image_id": number, "width": 64, "height": 48, "file_name": path.name}
            path.with_suffix(".json").write_text(json.dumps({"image": image, "annotations": []}))
    return root


def sharegpt4v(root: Path) -> Path:
    """Return the list, in ``data/``."""
    rows = []
    for seed, image in enumerate(
        (
            "coco/train2017/000000000009.jpg",
            "sam/images/sa_1.jpg",
            "llava/llava_pretrain/images/00453/004539375.jpg",
        )
    ):
        picture(root / "data" / image, seed)
        turns = [
            {"from": "human", "value": "What do you see happening in this image?\n<image>"},
            {"from": "gpt", "value": f"{EXAMPLE} {seed}."},
        ]
        rows.append({"id": Path(image).stem, "image": image, "conversations": turns})
    path = root / "data" / "sharegpt4v_instruct_gpt4-vision_cap100k.json"
    path.write_text(json.dumps(rows))
    return path


def urban1k(root: Path) -> Path:
    for number in (1, 2, 10):
        picture(root / "image" / f"{number}.jpg", number)
        caption = root / "caption" / f"{number}.txt"
        caption.parent.mkdir(exist_ok=True)
        caption.write_text(f"{EXAMPLE} Street {number}.")
    return root


def iiw(root: Path) -> Path:
    """Return ``IIW-400/``, in the form that most of the sets have."""
    rows = []
    for number in range(2):
        key = f"aar_test_0460{number}"
        picture(root / "images" / f"{key}.jpg", number)
        rows.append({"IIW": f"{EXAMPLE} {key}.", "IIW-P5B": "By a model.", "image/key": key, "objects": []})
    lines(root / "data.jsonl", rows)
    return root


def _karpathy(splits: Iterable[str], names: Iterable[str], folders: Iterable[str | None]) -> dict[str, Any]:
    images = []
    for number, (split, name, folder) in enumerate(zip(splits, names, folders, strict=True)):
        sentences = [
            {"tokens": ["a", "cloth"], "raw": f"Cloth {number}, said {again}.", "imgid": number, "sentid": again}
            for again in range(5)
        ]
        place = {} if folder is None else {"filepath": folder, "cocoid": number}
        image = {"sentids": [*range(5)], "filename": name, "imgid": number, "split": split, "sentences": sentences}
        images.append(place | image)
    return {"images": images, "dataset": "drawn"}


def coco(root: Path) -> Path:
    names = ["COCO_val2014_000000391895.jpg", "COCO_train2014_000000000009.jpg", "COCO_val2014_000000000042.jpg"]
    folders = ["val2014", "train2014", "val2014"]
    for seed, (folder, name) in enumerate(zip(folders, names, strict=True)):
        picture(root / folder / name, seed)
    (root / "dataset_coco.json").write_text(json.dumps(_karpathy(["test", "train", "restval"], names, folders)))
    return root


def coco2017(root: Path) -> Path:
    """Return ``val2017`` with its annotations, whose pictures and captions are in no order."""
    numbers = [139, 42]
    for number in numbers:
        picture(root / "val2017" / f"{number:012}.jpg", number)
    images = [{"id": number, "file_name": f"{number:012}.jpg", "license": 1} for number in numbers]
    said = [(number, again) for again in range(5) for number in numbers]
    annotations = [
        {"id": place, "image_id": number, "caption": f"Cloth {number}, said {again}."}
        for place, (number, again) in enumerate(said)
    ]
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    content = {"info": {}, "images": images, "annotations": annotations}
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps(content))
    return root


def flickr30k(root: Path, hub: bool = False) -> Path:
    names = ["1000092795.jpg", "10002456.jpg"]
    for seed, name in enumerate(names):
        picture(root / "flickr30k-images" / name, seed)
    listed = _karpathy(["train", "test"], names, [None, None])
    if not hub:
        (root / "dataset_flickr30k.json").write_text(json.dumps(listed))
        return root
    with (root / "flickr_annotations_30k.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["raw", "sentids", "split", "filename", "img_id"])
        writer.writeheader()
        for image in listed["images"]:
            raw = json.dumps([sentence["raw"] for sentence in image["sentences"]])
            sentids = json.dumps(image["sentids"])
            row = {"raw": raw, "sentids": sentids, "split": image["split"], "filename": image["filename"]}
            writer.writerow(row | {"img_id": image["imgid"]})
    return root


def goal(root: Path) -> Path:
    """Return a list of the joint test: whole pictures of DCI, and a cut-out one."""
    picture(root / "photos" / "sa_1543972.jpg", 1)
    picture(root / "sa_1543972.jpg_results" / "sa_1543972_max_37.png", 2)
    whole = "../DCI/dataset/densely_captioned_images/photos/sa_1543972.jpg"
    cut = "chage/path/to/your/directory/sa_1543972.jpg_results/sa_1543972_max_37.png"
    box = {"x1": 689, "y1": 802, "x2": 973, "y2": 1500, "width": 284, "height": 698}
    rows = [
        {"filename": whole, "caption": EXAMPLE},
        {"caption": "A blue bowl", "filename": cut, "similarity_score": 28.77, "bbox_coordinates": box},
    ]
    path = root / "DCI_test_joint_sim_max_11.json"
    path.write_text(json.dumps(rows))
    return path


PLACES = {
    "docci": (docci, "docci"),
    "dci": (dci, "densely_captioned_images"),
    "sa1b": (sa1b, "sa1b"),
    "sharegpt4v": (sharegpt4v, "ShareGPT4V"),
    "urban1k": (urban1k, "Urban1k"),
    "iiw": (iiw, "IIW-400"),
    "coco": (coco, "coco"),
    "coco2017": (coco2017, "coco2017"),
    "flickr30k": (flickr30k, "flickr30k"),
    "goal": (goal, "goal"),
}
"""What lays a corpus out, by format, and the name of its folder."""


def lay_out(name: str, folder: Path) -> Path:
    """Lay out a corpus and return what ``ingest`` is given."""
    make, place = PLACES[name]
    return make(folder / place)
