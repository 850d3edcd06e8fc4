"""Which of eleven captions describes an object in a box: FG-OVD (arXiv 2311.17518)."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import DatasetError
from glitbuild.records import Box
from glitbuild.stages.evaluate.benchmark_files import AGAIN, ImageFile, Table, digest, json_object, strings
from glitbuild.stages.evaluate.benchmark_images import checked, paired_cosines
from glitbuild.stages.evaluate.metrics import SuiteReport
from glitbuild.stages.evaluate.options import FGOVD

FGOVD_FILES = {
    "1_attributes.json": ("hard", 10),
    "2_attributes.json": ("medium", 10),
    "3_attributes.json": ("easy", 10),
    "shuffle_negatives.json": ("trivial", 10),
    "color.json": ("color", 10),
    "material.json": ("material", 10),
    "pattern.json": ("pattern", 7),
    "transparency.json": ("transparency", 2),
}
"""Files of FG-OVD, each with the paper's name for it, and the number of false captions that its metrics are for."""

COCO = (".", "coco", "coco/images", "..", "../coco")
"""Where the images of COCO 2017 are looked for, from the folder with these files."""


@dataclass(frozen=True, slots=True)
class FineGrained:
    """Boxes of images, each with a true caption and false ones that differ in attributes of the object.

    Attributes:
        texts: distinct captions.
        images: distinct boxes.
        rows: by the name of a file, N x (2 + F): index of the box, of the true caption, of the false captions.
        left_out: number of boxes with fewer false captions than their file's metrics are for.
        missing: names of the published files that aren't there.
    """

    texts: tuple[str, ...]
    images: tuple[ImageFile, ...]
    rows: dict[str, list[tuple[int, ...]]]
    left_out: int
    missing: tuple[str, ...]

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return FGOVD

    @property
    def described(self) -> str:
        """SHA-256 of all captions and boxes, and of which belong together, in hex."""
        boxes = [f"{image.path.name} {image.box}" for image in self.images]
        return digest([*self.texts, *boxes, *map(str, self.rows.items())])

    def measure(self, texts: NDArray[np.float32], images: Iterator[NDArray[np.float32]]) -> SuiteReport:
        """Return, for each file, how often the true caption is the most similar one, and its mean rank.

        A false caption exactly as similar counts as better: the rank is that of FG-OVD's own ``ranks.py``.

        Args:
            texts: M x D, normalised embeddings of ``texts``.
            images: batches of the normalised embeddings of ``images``, B x D, in their order.

        Raises:
            EvaluationError: embeddings are not finite.
        """
        seen = checked(texts, images)
        figures, hits, ties = {}, {}, 0
        for name, rows in self.rows.items():
            box, true, *false = np.array(rows).T
            own = paired_cosines(seen[box], texts[true])
            others = np.stack([paired_cosines(seen[box], texts[each]) for each in false], axis=1)
            ranks = 1 + (others >= own[:, None]).sum(axis=1)
            hits[name], ties = ranks == 1, ties + int((others == own[:, None]).any(axis=1).sum())
            figures[name] = {"accuracy": 100 * float(hits[name].mean()), "mean_rank": float(ranks.mean())}
        counted = sum(map(len, self.rows.values()))
        facts: dict[str, int | str] = {"examples": counted, "boxes": len(self.images), "ties": ties}
        if self.left_out:
            facts["too_few_false_captions"] = self.left_out
        if self.missing:
            facts["missing"] = " ".join(self.missing)
        return SuiteReport(figures, facts, {name: {"accuracy": hit} for name, hit in hits.items()})


def read_fgovd(root: Path) -> FineGrained:
    """Read FG-OVD's files, as many as there are.

    Raises:
        DatasetError: a file is damaged or has no examples, or an image is missing; names the file and the row.
    """
    table, rows, left_out = Table(), dict[str, list[tuple[int, ...]]](), 0
    content = {name: json_object(root / name) for name in FGOVD_FILES if (root / name).is_file()}
    folder = None
    for name, found in content.items():
        path = root / name
        images = _by_id(path, found, "images", "file_name")
        categories = _by_id(path, found, "categories", "name")
        folder = folder or _folder(root, next(iter(images.values())))
        title, most = FGOVD_FILES[name]
        kept = []
        for number, annotation in enumerate(_list(path, found, "annotations")):
            where = f"{path}, annotation {number}"
            captions = _captions(where, annotation, categories)
            box = _box(where, annotation)
            image = _named(where, annotation.get("image_id"), images)
            if len(captions) <= most:
                left_out += 1
                continue
            fix = f"put the images of COCO 2017 into {folder}"
            place = table.image(where, folder / image, fix, box)
            kept.append((place, *(table.text(each) for each in captions[: 1 + most])))
        if not kept:
            raise DatasetError(str(path), f"no box has {most} false captions", AGAIN)
        rows[title] = kept
    missing = tuple(name for name in FGOVD_FILES if name not in content)
    return FineGrained(tuple(table.texts), tuple(table.images), rows, left_out, missing)


def _folder(root: Path, image: str) -> Path:
    places = [root / place for place in COCO]
    return next((place for place in places if (place / image).is_file()), places[0])


def _list(path: Path, content: Mapping[str, Any], name: str) -> list[Any]:
    found = content.get(name)
    if not isinstance(found, list) or not found:
        raise DatasetError(str(path), f"{name} is missing, or not a list with elements", AGAIN)
    return found


def _by_id(path: Path, content: Mapping[str, Any], kind: str, name: str) -> dict[int, str]:
    """Return the names of images or categories by their id."""
    found: dict[int, str] = {}
    for number, row in enumerate(_list(path, content, kind)):
        where = f"{path}, {kind} {number}"
        (text,) = strings(where, row, (name,))
        if not isinstance(row.get("id"), int) or found.setdefault(row["id"], text) != text:
            raise DatasetError(where, "id is missing, or not its own", AGAIN)
    return found


def _named(where: str, number: Any, names: Mapping[int, str]) -> str:
    if not isinstance(number, int) or number not in names:
        raise DatasetError(where, f"it names {number}, which is not in the file", AGAIN)
    return names[number]


def _captions(where: str, annotation: Any, categories: Mapping[int, str]) -> list[str]:
    """Return the true caption and the false ones, in the file's order."""
    false = annotation.get("neg_category_ids") if isinstance(annotation, dict) else None
    if not isinstance(false, list):
        raise DatasetError(where, "neg_category_ids is missing, or not a list", AGAIN)
    return [_named(where, each, categories) for each in (annotation.get("category_id"), *false)]


def _box(where: str, annotation: Mapping[str, Any]) -> Box:
    """Return the box, xyxy in pixels of the stored image; the file has its corner, width and height."""
    match annotation.get("bbox"):
        case [float() | int() as x, float() | int() as y, float() | int() as width, float() | int() as height]:
            if all(map(math.isfinite, (x, y))) and 0 < width < math.inf and 0 < height < math.inf:
                return float(x), float(y), float(x + width), float(y + height)
    raise DatasetError(where, "bbox is missing, or not a corner with a width and a height", AGAIN)
