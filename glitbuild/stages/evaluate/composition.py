"""Which caption belongs to an image: SugarCrepe (arXiv 2306.14610) and Winoground (arXiv 2204.03162)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import DatasetError
from glitbuild.retrieval import check_embeddings
from glitbuild.stages.evaluate.benchmark_images import AGAIN, ImageFile, digest, text_of
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
        seen = _checked(texts, images)
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
        seen, of = _checked(texts, images), np.array(self.rows)
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


def paired_cosines(ones: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float32]:
    """Return the cosine of each pair of normalised embeddings, N: computed in float64, then rounded to float32."""
    found: NDArray[np.float32] = np.einsum("nd,nd->n", ones, others, dtype=np.float64).astype(np.float32)
    return found


def read_sugarcrepe(root: Path) -> SugarCrepe:
    """Read SugarCrepe's files, as many as there are.

    Raises:
        DatasetError: a file is damaged or has no examples, or an image is missing; names the file and the row.
    """
    table, rows = _Table(), {}
    content = {name: _examples(root / name) for name in SUGARCREPE_FILES if (root / name).is_file()}
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
    table, rows, path = _Table(), list[tuple[int, int, int, int]](), root / EXAMPLES
    fix = f"unpack images.zip, so that its images are in {root / IMAGES}"
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        fields = _strings(where, _parsed(where, line), ("image_0", "image_1", "caption_0", "caption_1"))
        one, other = (table.image(where, root / IMAGES / f"{name}.png", fix) for name in fields[:2])
        rows.append((one, other, table.text(fields[2]), table.text(fields[3])))
    if not rows:
        raise DatasetError(str(path), "it has no examples", AGAIN)
    return Winoground(tuple(table.texts), tuple(table.images), tuple(rows))


class _Table:
    """Distinct texts and images, numbered in the order in which they are first named."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.images: list[ImageFile] = []
        self._numbers: dict[Path, int] = {}

    def text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def image(self, where: str, path: Path, fix: str) -> int:
        if path not in self._numbers:
            if not path.is_file():
                raise DatasetError(where, f"no such image: {path}", fix)
            self._numbers[path] = len(self.images)
            self.images.append(ImageFile(f"{where}, image {path.name}", path))
        return self._numbers[path]


def _sugarcrepe_row(table: _Table, where: str, example: Any, folder: Path) -> tuple[int, int, int]:
    filename, caption, negative = _strings(where, example, ("filename", "caption", "negative_caption"))
    fix = f"put the images of COCO val2017 into {folder}"
    return table.image(where, folder / filename, fix), table.text(caption), table.text(negative)


def _examples(path: Path) -> Mapping[str, Any]:
    found = _parsed(str(path), text_of(path))
    if not isinstance(found, dict) or not found:
        raise DatasetError(str(path), "not a JSON object with examples", AGAIN)
    return found


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(where, f"broken JSON: {error}", AGAIN) from error


def _strings(where: str, row: Any, names: Sequence[str]) -> list[str]:
    """Return fields of a row that must be text."""
    found = []
    for name in names:
        value = row.get(name) if isinstance(row, dict) else None
        if not isinstance(value, str) or not value.strip():
            raise DatasetError(where, f"{name} is missing, or not text", AGAIN)
        found.append(value)
    return found


def _checked(texts: NDArray[np.float32], images: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the embeddings of all images, N x D, once they and the texts are known to be comparable."""
    check_embeddings("text embeddings", texts)
    seen = np.concatenate(list(images))
    check_embeddings("image embeddings", seen)
    return seen
