"""Zero-shot classification (Radford et al., arXiv 2103.00020) on image folders and CLIP_benchmark's WebDatasets."""

import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import ConfigError, DatasetError
from glitbuild.files import is_stray
from glitbuild.retrieval import check_embeddings
from glitbuild.stages.evaluate.benchmark_files import AGAIN, ImageFile, digest, lines_of
from glitbuild.stages.evaluate.benchmark_images import cosines
from glitbuild.stages.evaluate.metrics import SuiteReport
from glitbuild.stages.evaluate.options import ZEROSHOT
from glitbuild.stages.ingest.formats.folder import IMAGE_SUFFIXES

CLASSES = "classnames.txt"
TEMPLATES = "zeroshot_classification_templates.txt"
KIND = "dataset_type.txt"
SPLIT = "test"
SHARDS = f"{SPLIT}/nshards.txt"
"""Names in CLIP_benchmark's layout (LAION-AI/CLIP_benchmark, ``build_wds_dataset``)."""

PLACE = "{c}"
"""Part of a template that stands for the name of a class."""
DEFAULT_TEMPLATE = f"a photo of a {PLACE}."

WDS_IMAGES = ("webp", "png", "jpg", "jpeg")
"""Extensions of images in CLIP_benchmark's tars."""
LABEL = "cls"

ACC1, ACC5, RECALL = "acc1", "acc5", "mean_per_class_recall"
DEPTH = 5


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """A classification benchmark.

    Attributes:
        classes: names of the classes; several classes may have the same.
        templates: prompts with ``{c}`` in place of the name.
        images: images to classify.
        labels: class of each image, by its index.
        facts: where the names and the templates come from.
    """

    classes: tuple[str, ...]
    templates: tuple[str, ...]
    images: tuple[ImageFile, ...]
    labels: tuple[int, ...]
    facts: dict[str, int | str]

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return ZEROSHOT

    @property
    def texts(self) -> list[str]:
        """Distinct prompts: those of the first class, then what the second adds, and so on."""
        return list(dict.fromkeys(prompt for name in self.classes for prompt in self._prompts(name)))

    @property
    def described(self) -> str:
        """SHA-256 of names, templates and labels, in hex."""
        return digest([*self.classes, "", *self.templates, "", *map(str, self.labels)])

    def measure(self, texts: NDArray[np.float32], images: Iterator[NDArray[np.float32]]) -> SuiteReport:
        """Return the metrics as CLIP_benchmark defines them, except that a tie is no hit.

        Args:
            texts: M x D, normalised embeddings of ``texts``.
            images: batches of the normalised embeddings of ``images``, B x D, in their order.

        Raises:
            EvaluationError: embeddings are not finite.
        """
        check_embeddings("text embeddings", texts)
        weights = self._weights(texts)
        labels = np.array(self.labels)
        ranks, tied, start = np.empty(len(labels), dtype=np.int64), 0, 0
        for batch in images:
            check_embeddings("image embeddings", batch)
            part = slice(start, start + len(batch))
            ranks[part], ties = ranks_of(cosines(batch, weights), labels[part])
            tied, start = tied + ties, part.stop
        figures = accuracies(ranks, labels, len(self.classes))
        facts = {"images": len(labels), "classes": len(self.classes)} | self.facts | {"ties": tied}
        if (empty := len(self.classes) - len(np.unique(labels))) > 0:
            facts["classes_without_images"] = empty
        if (same := len(self.classes) - len(set(self.classes))) > 0:
            facts["repeated_class_names"] = same
        scores = {name: ranks < depth for name, depth in ((ACC1, 1), (ACC5, DEPTH)) if name in figures}
        return SuiteReport({"images": figures}, facts, {"images": scores})

    def _prompts(self, name: str) -> list[str]:
        return [template.replace(PLACE, name) for template in self.templates]

    def _weights(self, texts: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the normalised mean of each class's prompts, C x D."""
        rows = {text: row for row, text in enumerate(self.texts)}
        prompts = [[rows[prompt] for prompt in self._prompts(name)] for name in self.classes]
        means = np.stack([texts[of].astype(np.float64).mean(axis=0) for of in prompts])
        found: NDArray[np.float64] = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return found


def ranks_of(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return how many other classes score at least as much as each image's own, and how many images tie with one.

    Args:
        scores: N x C, similarity of each image to each class.
        labels: N, index of each image's class.
    """
    own = scores[np.arange(len(scores)), labels][:, None]
    equal = (scores == own).sum(axis=1) - 1
    return (scores > own).sum(axis=1) + equal, int((equal > 0).sum())


def accuracies(ranks: NDArray[np.int64], labels: NDArray[np.int64], classes: int) -> dict[str, float]:
    """Return acc1, acc5 and mean per-class recall, in percent.

    As in CLIP_benchmark, there is no acc5 with fewer than five classes, and the recall is averaged over the classes
    that have images (scikit-learn's ``balanced_accuracy_score``).

    Args:
        ranks: N, number of other classes that an image's own does not beat.
        labels: N, index of each image's class.
        classes: number of classes.
    """
    hit = ranks < 1
    counts, hits = np.bincount(labels), np.bincount(labels, weights=hit)
    figures = {ACC1: 100 * float(hit.mean())}
    if classes >= DEPTH:
        figures[ACC5] = 100 * float((ranks < DEPTH).mean())
    present = counts > 0
    return figures | {RECALL: 100 * float((hits[present] / counts[present]).mean())}


def class_folders(root: Path) -> list[Path]:
    """Return the folders of an image folder's classes, sorted by name."""
    folders = (path for path in root.iterdir() if path.is_dir() and not _hidden(path.name))
    return sorted(folders, key=lambda path: path.name)


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the images of a folder and of the folders in it, sorted by name within each."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        for name in sorted(files):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not _hidden(name):
                yield Path(place, name)


def read_image_folder(root: Path) -> ZeroShot:
    """Read a folder with one sub-folder per class.

    Raises:
        ConfigError: there are fewer than two classes, or not as many names as sub-folders.
        DatasetError: a class has no images, or a file of names or templates is damaged.
    """
    folders = class_folders(root)
    if (names := root / CLASSES).is_file():
        classes, named = _class_names(names), CLASSES
        if len(classes) != len(folders):
            why = f"{len(classes):,} names for {len(folders):,} sub-folders"
            raise ConfigError(str(names), why, "give one name per line, in the order of the sorted sub-folders")
    else:
        classes, named = [" ".join(path.name.replace("_", " ").split()) for path in folders], "sub-folders"
    _check_number(root, len(classes))
    images, labels = list[ImageFile](), list[int]()
    for label, folder in enumerate(folders):
        found = [ImageFile(str(path.relative_to(root)), path) for path in images_below(folder)]
        if not found:
            raise DatasetError(str(folder), "the class has no images", "remove the folder, or add its images")
        images += found
        labels += [label] * len(found)
    return _benchmark(root, classes, named, images, labels)


def read_webdataset(root: Path) -> ZeroShot:
    """Read a folder in CLIP_benchmark's WebDataset layout; of its tars, only headers and labels are read.

    Raises:
        ConfigError: it isn't for classification with one label per image, or has fewer than two classes.
        DatasetError: a file is missing or damaged, or a label is not that of a class.
    """
    if (kind := root / KIND).is_file() and (found := " ".join(lines_of(kind)).lower()) != "classification":
        why = f"the benchmark's type is {found}, not classification"
        raise ConfigError(str(kind), why, "evaluate one with one label per image")
    classes = _class_names(root / CLASSES)
    _check_number(root, len(classes))
    number = " ".join(lines_of(root / SHARDS))
    if not (number.isascii() and number.isdigit() and int(number)):
        raise DatasetError(str(root / SHARDS), f"{number[:40]!r} is not a number of tars", AGAIN)
    samples = [of for shard in range(int(number)) for of in _samples(root, f"{SPLIT}/{shard}.tar", len(classes))]
    if not samples:
        raise DatasetError(str(root / SPLIT), "its tars have no images", AGAIN)
    images, labels = zip(*samples, strict=True)
    return _benchmark(root, classes, CLASSES, images, labels)


def _benchmark(
    root: Path, classes: Sequence[str], named: str, images: Sequence[ImageFile], labels: Sequence[int]
) -> ZeroShot:
    templates, origin = [DEFAULT_TEMPLATE], f"default ({DEFAULT_TEMPLATE})"
    if (path := root / TEMPLATES).is_file():
        templates, origin = _templates(path), TEMPLATES
    facts: dict[str, int | str] = {"class_names": named, "templates": len(templates), "templates_from": origin}
    return ZeroShot(tuple(classes), tuple(templates), tuple(images), tuple(labels), facts)


def _class_names(path: Path) -> list[str]:
    names = lines_of(path)
    for row, name in enumerate(names, 1):
        if not name:
            raise DatasetError(f"{path}, line {row}", "the name of a class is missing", "give one name per line")
    return names


def _templates(path: Path) -> list[str]:
    found = []
    for row, line in enumerate(lines_of(path), 1):
        if line and PLACE not in line:
            why, fix = f"the template has no {PLACE}", f"put {PLACE} where the name of the class belongs"
            raise DatasetError(f"{path}, line {row}", why, fix)
        found += [line] if line else []
    if not found:
        raise DatasetError(str(path), "it has no templates", f"remove it to use {DEFAULT_TEMPLATE!r}")
    return found


def _check_number(root: Path, classes: int) -> None:
    if classes < 2:
        raise ConfigError(str(root), f"too few classes ({classes})", "classification needs at least two")


def _samples(root: Path, name: str, classes: int) -> Iterator[tuple[ImageFile, int]]:
    """Yield the images of a tar with their labels, without reading the images.

    As in WebDataset, adjacent members with the same name up to the first dot of the file's name are one sample.
    """
    path, key, parts = root / name, "", dict[str, tarfile.TarInfo]()
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isreg() or is_stray(member.name):
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, extension = base.partition(".")
                if (found := f"{folder}/{stem}" if folder else stem) != key:
                    if parts:
                        yield _sample(tar, path, name, key, parts, classes)
                    key, parts = found, {}
                parts[extension.lower()] = member
            if parts:
                yield _sample(tar, path, name, key, parts, classes)
    except FileNotFoundError as error:
        raise DatasetError(str(path), f"no such file, but {SHARDS} counts it", AGAIN) from error
    except (tarfile.TarError, OSError) as error:
        raise DatasetError(str(path), f"damaged tar: {error}", AGAIN) from error


def _sample(
    tar: tarfile.TarFile, path: Path, name: str, key: str, parts: dict[str, tarfile.TarInfo], classes: int
) -> tuple[ImageFile, int]:
    where = f"{name}, sample {key}"
    image = next((parts[extension] for extension in WDS_IMAGES if extension in parts), None)
    if image is None:
        raise DatasetError(where, f"it has no image ({', '.join(WDS_IMAGES)})", AGAIN)
    if image.issparse():
        raise DatasetError(where, "its image is a sparse file", "pack the tar without --sparse")
    if LABEL not in parts:
        raise DatasetError(where, f"it has no label (.{LABEL})", AGAIN)
    content = tar.extractfile(parts[LABEL])
    assert content is not None
    text = content.read(40).decode("ascii", "replace").strip()
    if not (text.isascii() and text.isdigit() and int(text) < classes):
        why = f"unknown class {text!r}: {CLASSES} has {classes:,}, which are numbered from 0"
        raise DatasetError(where, why, "give the names that belong to these tars")
    return ImageFile(f"{name}, {image.name}", path, image.offset_data, image.size), int(text)


def _hidden(name: str) -> bool:
    return name.startswith(".") or is_stray(name)
