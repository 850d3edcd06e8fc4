"""Small corpora for the protocols, and for each protocol a plain script, as its authors' one reads their files.

The scripts share no code with the package: files are read with json and Pillow, texts are tokenised by open_clip,
and ranks are counted with numpy.
"""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from tests.stages.ingest.formats.layouts import lines, picture

SAID = "a red blue ball dog cat tree lies stands near under the old house 2.5 km away bright dark sky"
WORDS = SAID.split()


def caption(seed: int) -> str:
    """Return a made-up description with the marks that protocols treat differently."""
    drawn = random.Random(seed)
    parts = [" ".join(drawn.choices(WORDS, k=drawn.randint(3, 9))) for _ in range(drawn.randint(2, 4))]
    return f"{parts[0].capitalize()}. {parts[1]}\n\n{'. '.join(parts[2:])} seen {seed} times.</s>"


def docci(root: Path) -> Path:
    splits = ["train", "test", "test", "qual_test", "test", "qual_dev", "test", "qual_test", "test"]
    rows = []
    for number, split in enumerate(splits):
        picture(root / "images" / f"{number}.jpg", number)
        row = {"example_id": str(number), "split": split, "image_file": f"{number}.jpg"}
        rows.append(row | {"description": caption(number)})
    lines(root / "docci_descriptions.jsonlines", rows)
    return root


def dci(root: Path) -> Path:
    splits: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    (root / "complete").mkdir(parents=True)
    for number, split in enumerate(["train", "test", "valid", "train", "test", "train", "train"]):
        splits[split].append(f"{number}.json")
        picture(root / "photos" / f"sa_{number}.jpg", number)
        extra = "" if number == 3 else caption(number)
        entry = {"image": f"sa_{number}.jpg", "short_caption": caption(100 + number)[:40], "extra_caption": extra}
        (root / "complete" / f"{number}.json").write_text(json.dumps(entry | {"mask_data": {}}))
    (root / "splits.json").write_text(json.dumps(splits))
    return root


def urban1k(root: Path) -> Path:
    (root / "caption").mkdir(parents=True)
    for number in range(1, 8):
        picture(root / "image" / f"{number}.jpg", number)
        (root / "caption" / f"{number}.txt").write_text(caption(number))
    return root


def sharegpt4v(root: Path) -> Path:
    rows = []
    for number in range(9):
        image = f"sam/images/sa_{number}.jpg"
        picture(root / "data" / image, number)
        turns = [{"from": "human", "value": "Describe.\n<image>"}, {"from": "gpt", "value": caption(number)}]
        rows.append({"id": f"sa_{number}", "image": image, "conversations": turns})
    path = root / "data" / "share-captioner_coco_lcs_sam_1246k_1107.json"
    path.write_text(json.dumps(rows))
    return path


def iiw(root: Path) -> list[Path]:
    folders = []
    for start, name in enumerate(("IIW-400", "DOCCI_Test", "DCI_Test")):
        rows = []
        for number in range(10 * start, 10 * start + 3):
            picture(root / name / "images" / f"{number}.jpg", number)
            rows.append({"IIW": caption(number), "IIW-P5B": "By a model.", "image": f"{number}.jpg"})
        lines(root / name / "data.jsonl", rows)
        folders.append(root / name)
    return folders


def _karpathy(root: Path, folder: str, listed: str, more: dict[str, Any]) -> Path:
    images = []
    for number, split in enumerate(["test", "train", "test", "val", "test", "test"]):
        picture(root / folder / f"{number}.jpg", number)
        count = 6 if number == 2 else 5  # some images of COCO have more than five
        sentences = [{"raw": caption(10 * number + again)[:50]} for again in range(count)]
        images.append({"filename": f"{number}.jpg", "split": split, "sentences": sentences} | more)
    (root / listed).write_text(json.dumps({"images": images}))
    return root


def coco(root: Path) -> Path:
    return _karpathy(root, "val2014", "dataset_coco.json", {"filepath": "val2014"})


def flickr30k(root: Path) -> Path:
    return _karpathy(root, "flickr30k-images", "dataset_flickr30k.json", {})


def coco2017(root: Path) -> Path:
    numbers = [17, 3, 11, 5]
    (root / "annotations").mkdir(parents=True)
    for number in numbers:
        picture(root / "val2017" / f"{number:012}.jpg", number)
    images = [{"id": number, "file_name": f"{number:012}.jpg"} for number in numbers]
    said = [
        {"image_id": number, "caption": caption(10 * number + again)[:50]}
        for again in range(7)
        for number in numbers
        if again < 5 or number == 3
    ]
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps({"images": images, "annotations": said}))
    return root


Pairs = list[tuple[Path, list[str]]]
"""Images with their captions."""


def of_docci(root: Path, *splits: str) -> Pairs:
    rows = [json.loads(line) for line in (root / "docci_descriptions.jsonlines").read_text().splitlines()]
    return [(root / "images" / row["image_file"], [row["description"]]) for row in rows if row["split"] in splits]


def of_dci(root: Path, extra_only: bool) -> Pairs:
    found: Pairs = []
    for path in (root / "complete").glob("*.json"):
        entry = json.loads(path.read_text())
        if extra_only and not entry["extra_caption"]:
            continue
        whole = f"{entry['short_caption']}\n{entry['extra_caption']}"
        found.append((root / "photos" / entry["image"], [entry["extra_caption"] if extra_only else whole]))
    return found


def of_urban1k(root: Path) -> Pairs:
    return [(root / "image" / f"{path.stem}.jpg", [path.read_text()]) for path in (root / "caption").iterdir()]


def of_sharegpt4v(path: Path, count: int, text: Callable[[str], str]) -> Pairs:
    rows = json.loads(path.read_text())[:count]
    return [(path.parent / row["image"], [text(row["conversations"][1]["value"])]) for row in rows]


def of_iiw(folders: list[Path]) -> Pairs:
    found: Pairs = []
    for folder in folders:
        for line in (folder / "data.jsonl").read_text().splitlines():
            row = json.loads(line)
            found.append((folder / "images" / row["image"], [cut_and_joined(row["IIW"])]))
    return found


def of_karpathy(root: Path, listed: str, folder: str) -> Pairs:
    rows = [row for row in json.loads((root / listed).read_text())["images"] if row["split"] == "test"]
    return [(root / folder / row["filename"], [one["raw"] for one in row["sentences"][:5]]) for row in rows]


def of_coco2017(root: Path) -> Pairs:
    content = json.loads((root / "annotations" / "captions_val2017.json").read_text())
    found: Pairs = []
    for image in sorted(content["images"], key=lambda one: one["id"]):
        captions = [one["caption"] for one in content["annotations"] if one["image_id"] == image["id"]]
        found.append((root / "val2017" / image["file_name"], captions[:5]))
    return found


def cut_and_joined(text: str) -> str:
    """Return a text without its full stops and line ends, which LoTLIP replaces."""
    kept = []
    for part in re.split("[.\n]", text.replace("</s>", "\n")):
        if part.strip():
            kept.append(part.strip())
    return ". ".join(kept)


SCRIPTS: dict[str, tuple[Callable[[Path], Any], Callable[[Any], Pairs]]] = {
    "docci/goal-5100": (docci, lambda root: of_docci(root, "test", "qual_test")),
    "docci/5000": (docci, lambda root: of_docci(root, "test")),
    "dci/goal-7602": (dci, lambda root: of_dci(root, True)),
    "dci/fgclip": (dci, lambda root: of_dci(root, False)),
    "longdci/tulip": (dci, lambda root: of_dci(root, True)),
    "urban1k/longclip": (urban1k, of_urban1k),
    "sv1k": (sharegpt4v, lambda path: of_sharegpt4v(path, 6, lambda text: text.replace("\n", " "))),
    "sv10k": (sharegpt4v, lambda path: of_sharegpt4v(path, 7, cut_and_joined)),
    "iiw/lotlip": (iiw, of_iiw),
    "coco/karpathy": (coco, lambda root: of_karpathy(root, "dataset_coco.json", "val2014")),
    "coco/2017val": (coco2017, of_coco2017),
    "flickr30k/1k": (flickr30k, lambda root: of_karpathy(root, "dataset_flickr30k.json", "flickr30k-images")),
}
"""For each protocol, what lays its corpus out, and what reads it."""


def recalls(model_folder: Path, pairs: Pairs, ks: tuple[int, ...]) -> dict[str, dict[str, float]]:
    """Return recall@K in percent, computed with open_clip and plain loops."""
    name = f"local-dir:{model_folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    model.eval()
    texts, image_of = [], []
    for number, (_, captions) in enumerate(pairs):
        texts += captions
        image_of += [number] * len(captions)
    with torch.no_grad():
        pixels = torch.stack([transform(Image.open(path).convert("RGB")) for path, _ in pairs])
        images = model.encode_image(pixels, normalize=True).double().numpy()
        embedded = model.encode_text(tokenizer(texts), normalize=True).double().numpy()
    cosines = embedded @ images.T
    found: dict[str, dict[str, float]] = {"text_to_image": {}, "image_to_text": {}}
    for k in ks:
        hits = [image_of[row] in np.argsort(-cosines[row])[:k] for row in range(len(texts))]
        found["text_to_image"][f"R@{k}"] = 100 * sum(hits) / len(hits)
        hits = [
            any(image_of[text] == number for text in np.argsort(-cosines[:, number])[:k])
            for number in range(len(pairs))
        ]
        found["image_to_text"][f"R@{k}"] = 100 * sum(hits) / len(hits)
    return found
