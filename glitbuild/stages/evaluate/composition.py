"""Which caption belongs to an image: SugarCrepe (arXiv 2306.14610) and Winoground (arXiv 2204.03162)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import DatasetError
from glitbuild.stages.evaluate.benchmark_files import (
    AGAIN,
    ImageFile,
    Table,
    digest,
    json_object,
    parsed,
    strings,
    text_of,
)
from glitbuild.stages.evaluate.benchmark_images import checked, paired_cosines
from glitbuild.stages.evaluate.metrics import SuiteReport
from glitbuild.stages.evaluate.options import SUGARCREPE, WINOGROUND

SUGARCREPE_FILES = (
    *("add_att.json", "add_obj.json", "replace_att.json", "replace_obj.json", "replace_rel.json"),
    *("swap_att.json", "swap_obj.json"),
)
"""Files of SugarCrepe (RAIVNLab/sugar-crepe, ``data/``)."""
COCO = ("val2017", "coco/images/val2017", ".", "../val2017")
"""Where the images of COCO are looked for, from the folder with these files."""

EXAMPLES = "examples.jsonl"
"""File of Winoground (facebook/winoground, ``data/``); the unpacked ``images.zip`` lies beside it."""
IMAGES = "images"


@dataclass(frozen=True, slots=True)
class SugarCrepe:
    """Images, each with a true caption and a false one that differs in one respect.

    Attributes:
        texts: distinct captions.
        images: distinct images.
        rows: by the name of a file, its examples: indices of the image, the true and the false caption.
        missing: names of the published files that aren't there.
    """

    texts: tuple[str, ...]
    images: tuple[ImageFile, ...]
    rows: dict[str, list[tuple[int, int, int]]]
    missing: tuple[str, ...]

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return SUGARCREPE

    @property
    def described(self) -> str:
        """SHA-256 of all captions and of which belong to which image, in hex."""
        return digest([*self.texts, *map(str, self.rows.items())])

    def measure(self, texts: NDArray[np.float32], images: Iterator[NDArray[np.float32]]) -> SuiteReport:
        """Return the share of images that are more similar to their true caption, in percent, for each file.

        Args:
            texts: M x D, normalised embeddings of ``texts``.
            images: batches of the normalised embeddings of ``images``, B x D, in their order.

        Raises:
            EvaluationError: embeddings are not finite.
        """
        seen = checked(texts, images)
        figures, hits, ties = {}, {}, 0
        for name, rows in self.rows.items():
            image, true, false = np.array(rows).T
            one, other = paired_cosines(seen[image], texts[true]), paired_cosines(seen[image], texts[false])
            hits[name], ties = one > other, ties + int((one == other).sum())
            figures[name] = {"accuracy": 100 * float(hits[name].mean())}
        examples = sum(map(len, self.rows.values()))
        facts: dict[str, int | str] = {"images": len(self.images), "examples": examples, "ties": ties}
        if self.missing:
            facts["missing"] = " ".join(self.missing)
        return SuiteReport(figures, facts, {name: {"accuracy": hit} for name, hit in hits.items()})


@dataclass(frozen=True, slots=True)
class Winoground:
    """Examples of two images and two captions with the same words in another order.

    Attributes:
        texts: distinct captions.
        images: distinct images.
        rows: indices of each example's image 0, image 1, caption 0, caption 1.
    """

    texts: tuple[str, ...]
    images: tuple[ImageFile, ...]
    rows: tuple[tuple[int, int, int, int], ...]

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return WINOGROUND

    @property
    def described(self) -> str:
        """SHA-256 of all captions and of which belong to which images, in hex."""
        return digest([*self.texts, *map(str, self.rows)])

    def measure(self, texts: NDArray[np.float32], images: Iterator[NDArray[np.float32]]) -> SuiteReport:
        """Return text, image and group score in percent, as arXiv 2204.03162 defines them.

        Args:
            texts: M x D, normalised embeddings of ``texts``.
            images: batches of the normalised embeddings of ``images``, B x D, in their order.

        Raises:
            EvaluationError: embeddings are not finite.
        """
        seen, of = checked(texts, images), np.array(self.rows)
        scores = np.empty((len(of), 2, 2), dtype=np.float32)
        for caption in (0, 1):
            for image in (0, 1):
                scores[:, caption, image] = paired_cosines(seen[of[:, image]], texts[of[:, 2 + caption]])
        hits = winoground_hits(scores)
        tied = (scores[:, 0] == scores[:, 1]).any(axis=1) | (scores[..., 0] == scores[..., 1]).any(axis=1)
        figures = {"examples": {name: 100 * float(hit.mean()) for name, hit in hits.items()}}
        facts: dict[str, int | str] = {"images": len(self.images), "examples": len(of), "ties": int(tied.sum())}
        return SuiteReport(figures, facts, {"examples": dict(hits)})


def winoground_hits(scores: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    """Return which examples count for each score; ties count for none.

    Args:
        scores: N x 2 x 2, similarity of each caption (first) to each image (second) of an example.
    """
    text = (scores[:, 0, 0] > scores[:, 1, 0]) & (scores[:, 1, 1] > scores[:, 0, 1])
    image = (scores[:, 0, 0] > scores[:, 0, 1]) & (scores[:, 1, 1] > scores[:, 1, 0])
    return {"text": text, "image": image, "group": text & image}


def read_sugarcrepe(root: Path) -> SugarCrepe:
    """Read SugarCrepe's files, as many as there are.

    Raises:
        DatasetError: a file is damaged or has no examples, or an image is missing; names the file and the row.
    """
    table, rows = Table(), {}
    content = {name: json_object(root / name) for name in SUGARCREPE_FILES if (root / name).is_file()}
    first = next(iter(next(iter(content.values())).values()))
    filename = str(first.get("filename", "")) if isinstance(first, dict) else ""
    places = [root / place for place in COCO]
    folder = next((place for place in places if (place / filename).is_file()), places[0])
    for name, examples in content.items():
        rows[name.removesuffix(".json")] = [
            _sugarcrepe_row(table, f"{root / name}, row {row}", example, folder)
            for row, example in examples.items()
        ]
    missing = tuple(name for name in SUGARCREPE_FILES if name not in content)
    return SugarCrepe(tuple(table.texts), tuple(table.images), rows, missing)


def read_winoground(root: Path) -> Winoground:
    """Read Winoground's examples.

    Raises:
        DatasetError: the file is damaged or has no examples, or an image is missing; names the file and the row.
    """
    table, rows, path = Table(), list[tuple[int, int, int, int]](), root / EXAMPLES
    fix = f"unpack images.zip, so that its images are in {root / IMAGES}"
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        fields = strings(where, parsed(where, line), ("image_0", "image_1", "caption_0", "caption_1"))
        one, other = (table.image(where, root / IMAGES / f"{name}.png", fix) for name in fields[:2])
        rows.append((one, other, table.text(fields[2]), table.text(fields[3])))
    if not rows:
        raise DatasetError(str(path), "it has no examples", AGAIN)
    return Winoground(tuple(table.texts), tuple(table.images), tuple(rows))


def _sugarcrepe_row(table: Table, where: str, example: Any, folder: Path) -> tuple[int, int, int]:
    filename, caption, negative = strings(where, example, ("filename", "caption", "negative_caption"))
    fix = f"put the images of COCO val2017 into {folder}"
    return table.image(where, folder / filename, fix), table.text(caption), table.text(negative)
