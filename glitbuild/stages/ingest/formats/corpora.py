"""The published corpora, each read from the folder as its authors distribute it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.files import is_stray
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.columns import to_caption
from glitbuild.stages.ingest.files import decode, embedded_image, parse_object, read_file, why
from glitbuild.stages.ingest.formats.corpus import CorpusSource, Entry, by_number, value_of
from glitbuild.stages.ingest.formats.jsonl import read_array, read_lines
from glitbuild.stages.ingest.formats.quoting import QuotedRows
from glitbuild.stages.ingest.formats.text_file import TextFile
from glitbuild.stages.ingest.given_boxes import XYXY, RowBoxes, read_boxes
from glitbuild.stages.ingest.remote import AnyPath
from glitbuild.stages.ingest.source import SourceOptions
from glitbuild.stages.ingest.values import to_name


class Coco(CorpusSource):
    """``dataset_coco.json`` of Karpathy's ``caption_datasets.zip`` beside ``train2014/`` and ``val2014/``."""

    name = "coco"
    license = "captions: CC BY 4.0; images: Flickr terms of use"
    layout = ("dataset_coco.json",)
    splits = ("train", "restval", "val", "test")

    def records(self) -> Iterator[Any]:
        """Yield the pictures."""
        return read_array(self._root / self.layout[0], "images")

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return the captions of a picture."""
        folder = value_of(record, "filepath", str)
        return karpathy_entries(record, folder, f"coco/{folder}")


class Coco2017(CorpusSource):
    """``annotations/captions_val2017.json`` and the like beside ``val2017/``, as cocodataset.org publishes them."""

    name = "coco2017"
    license = Coco.license
    layout = ("annotations",)
    splits = ("train2017", "val2017")

    def records(self) -> Iterator[Any]:
        """Yield the split, the picture and its captions, by the picture's id, as torchvision's ``CocoCaptions``."""
        there = [split for split in self.splits if (self._root / _captions_of(split)).exists()]
        if not there:
            raise SourceError(self._path.name, f"neither of {', '.join(map(_captions_of, self.splits))} in it")
        for split in there:
            path = self._root / _captions_of(split)
            captions: dict[int, list[Any]] = {}
            pictures: dict[int, Any] = {}
            for annotation in read_array(path, "annotations"):
                try:
                    captions.setdefault(_number(annotation, "image_id"), []).append(annotation["caption"])
                except (Rejected, KeyError) as error:
                    yield error if isinstance(error, Rejected) else Rejected(*NO_CAPTION)
            for picture in read_array(path, "images"):
                try:
                    pictures[_number(picture, "id")] = picture
                except Rejected as rejected:
                    yield rejected
            for number in sorted(pictures):
                yield split, pictures[number], captions.get(number, [])

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return the captions of a picture."""
        split, picture, captions = record
        name = value_of(picture, "file_name", str)
        for number, caption in enumerate(captions):
            yield Entry(f"{name}#{number}", f"{split}/{name}", to_caption(caption, name), split, f"coco/{split}")


NO_CAPTION = (SkipReason.ROW_UNREADABLE, "an annotation without caption")


def _captions_of(split: str) -> str:
    return f"annotations/captions_{split}.json"


def _number(record: Any, name: str) -> int:
    if isinstance(record, Rejected):
        raise record
    return value_of(record, name, int)


def karpathy_entries(record: Any, folder: str, origin: str) -> Iterator[Entry]:
    """Yield the captions of a picture, as Karpathy's lists have them.

    Args:
        record: the picture: its file's name, its split, its sentences.
        folder: where the file is.
        origin: of the picture.

    Raises:
        Rejected: the record lacks something.
    """
    name, split = value_of(record, "filename", str), value_of(record, "split", str)
    for number, sentence in enumerate(value_of(record, "sentences", list)):
        yield Entry(f"{name}#{number}", f"{folder}/{name}", value_of(sentence, "raw", str), split, origin)


KARPATHY, HUB = "dataset_flickr30k.json", "flickr_annotations_30k.csv"


class Flickr30k(CorpusSource):
    """``flickr30k-images/``, and Karpathy's JSON file or the Hub's CSV file, which has the same in it."""

    name = "flickr30k"
    license = "Flickr terms of use; non-commercial research and education"
    layout = ("flickr30k-images",)
    splits = ("train", "val", "test")

    def __init__(self, path: AnyPath, options: SourceOptions) -> None:
        super().__init__(path, options)
        lists = [name for name in (KARPATHY, HUB) if (path / name).exists()]
        if not lists:
            raise SourceError(path.name, f"neither {KARPATHY} nor {HUB} in it", "see docs/corpora.md")
        self._list = lists[0]

    def records(self) -> Iterator[Any]:
        """Yield the pictures."""
        if self._list == KARPATHY:
            return read_array(self._root / KARPATHY, "images")
        return self._rows_of_the_hub()

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return the captions of a picture."""
        return karpathy_entries(record, self.layout[0], "Flickr")

    def _rows_of_the_hub(self) -> Iterator[Any]:
        """Yield the rows of the CSV file, in the form of the JSON file."""
        header: list[str] | None = None
        for found in QuotedRows(TextFile(self._root / HUB).lines(), ","):
            if isinstance(found.cells, Rejected):
                yield found.cells
                continue
            if header is None:
                header = found.cells
                continue
            row = dict(zip(header, found.cells, strict=False))
            try:
                captions = json.loads(row["raw"])
                yield row | {"sentences": [{"raw": caption} for caption in captions]}
            except (KeyError, TypeError, ValueError) as error:
                detail = f'{row.get("filename")}: the column "raw" is not a JSON list: {why(error)}'
                yield Rejected(SkipReason.ROW_UNREADABLE, detail)


UNUSABLE = 2
"""Of ``mask_quality``."""


class Dci(CorpusSource):
    """``densely_captioned_images/``: ``complete/`` has a JSON file a picture, ``photos/`` the pictures of SA-1B.

    The caption is DCI's own "extended" one: the short caption, and on the next line the extra one. The
    bounds of its masks can be taken as boxes, with the masks' labels and captions.
    """

    name = "dci"
    license = "CC BY-NC; images: SA-1B Dataset Research License"
    layout = ("complete", "photos", "splits.json")
    splits = ("train", "valid", "test")
    captions = ("short_caption", "extra_caption")
    boxes = ("mask_data",)

    def __init__(self, path: AnyPath, options: SourceOptions) -> None:
        super().__init__(path, options)
        try:
            lists = parse_object(read_file(path, "splits.json"), "splits.json")
            self._split_of = {name: split for split in self.splits for name in value_of(lists, split, list)}
        except Rejected as rejected:
            raise SourceError(path.name, rejected.detail, "see docs/corpora.md") from rejected

    def records(self) -> Iterator[Any]:
        """Yield the name and the content of the files of ``complete/``, by number."""
        found = (path.name for path in (self._root / "complete").iterdir() if path.suffix == ".json")
        names = (name for name in found if not is_stray(name))
        for name in sorted(names, key=by_number):
            try:
                yield name, parse_object(read_file(self._root, f"complete/{name}"), name)
            except Rejected as rejected:
                yield Rejected(SkipReason.ROW_UNREADABLE, rejected.detail)

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a file's picture, with the captions of the whole picture."""
        name, content = record
        names = (self._column,) if self._column else self.captions
        parts = [(to_caption(content.get(caption), caption) or "").strip() for caption in names]
        image = f"photos/{value_of(content, 'image', str)}"
        boxes = _boxes(value_of(content, "mask_data", dict)) if self._boxes_column else None
        yield Entry(name, image, "\n".join(filter(None, parts)), self._split_of.get(name, ""), "SA-1B", boxes)


def _boxes(masks: Mapping[str, Any]) -> RowBoxes:
    """Return the masks' bounds, without those that their annotators found unusable (``mask_quality`` 2).

    A mask of quality 1 has a label and no caption that DCI itself would use.
    """
    entries = []
    for mask in masks.values():
        if (quality := value_of(mask, "mask_quality", int)) < UNUSABLE:
            bounds = value_of(mask, "bounds", dict)
            corners = [value_of(bounds, corner, dict) for corner in ("topLeft", "bottomRight")]
            box = [corner.get(axis) for corner in corners for axis in ("x", "y")]
            sentence = "" if quality else to_caption(mask.get("caption"), "caption") or ""
            entries.append({"box": box, "label": mask.get("label"), "sentence": sentence})
    return read_boxes(entries, "mask_data", XYXY)


class Docci(CorpusSource):
    """``docci_descriptions.jsonlines``, and ``images/`` from ``docci_images.tar.gz``."""

    name = "docci"
    license = "CC BY 4.0"
    layout = ("docci_descriptions.jsonlines", "images")
    splits = ("train", "test", "qual_dev", "qual_test")

    def records(self) -> Iterator[Any]:
        """Yield the lines of the list."""
        return read_lines(self._root / self.layout[0])

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a line's picture and description."""
        yield Entry(
            id=value_of(record, "example_id", str),
            image=f"images/{value_of(record, 'image_file', str)}",
            caption=value_of(record, "description", str),
            split=value_of(record, "split", str),
            origin="DOCCI",
        )


class Goal(CorpusSource):
    """A list of ``{"filename", "caption"}``, those of local pairs with ``bbox_coordinates``; pictures beside it.

    The paths in the published lists begin with folders of their authors' machines, so a picture is looked
    for by the last two parts of its path: ``images/``, ``photos/`` or ``image/`` of DOCCI, DCI or Urban1k.
    The split is ``global`` for whole pictures and ``local`` for cut-out ones.
    """

    name = "goal"
    license = ""
    is_list = True
    splits = ("global", "local")
    unique = False

    def records(self) -> Iterator[Any]:
        """Yield the elements of the list."""
        return read_array(self._path)

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a picture with its caption, or an original with its long one where there are segments."""
        prefix = "original_" if isinstance(record, dict) and "original_filename" in record else ""
        parts = PurePosixPath(value_of(record, f"{prefix}filename", str)).parts
        # A placeholder runs into the first folder: "your/directoryUrban1k/image/1.jpg".
        image = "/".join(parts[-2:])
        split = "local" if "bbox_coordinates" in record else "global"
        yield Entry(image, image, value_of(record, f"{prefix}caption", str), split)


ORIGINS = {
    "IIW-400": "DOCCI AAR",
    "DCI_Test": "SA-1B",
    "DOCCI_Test": "DOCCI",
    "LocNar_Eval": "Open Images",
    "CM_3600": "Crossmodal-3600",
}
"""Whose pictures a set's descriptions are about."""


class ImageInWords(CorpusSource):
    """One of the folders of ``datasets/``: ``data.jsonl``, and in ``images/`` the pictures that it is about.

    The caption is ``IIW``, by people; ``IIW-P5B``, by a model, in the sets that have no other.
    """

    name = "iiw"
    license = "CC BY 4.0"
    layout = ("data.jsonl", "images")
    captions = ("IIW", "IIW-P5B")

    def records(self) -> Iterator[Any]:
        """Yield the lines of the list."""
        return read_lines(self._root / "data.jsonl")

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a line's picture and description."""
        key = value_of(record, "image/key" if "image/key" in record else "image", str)
        column = self._column or next((name for name in self.captions if name in record), "IIW")
        image = key if PurePosixPath(key).suffix else f"{key}.jpg"
        caption = to_caption(record.get(column), column)
        yield Entry(key, f"images/{image}", caption, origin=ORIGINS.get(self._root.name, ""))


class Sa1b(CorpusSource):
    """Folders ``sa_000000/`` and so on, one a tar, with ``sa_N.jpg`` beside ``sa_N.json``; or one such folder."""

    name = "sa1b"
    license = "SA-1B Dataset Research License"

    def records(self) -> Iterator[Any]:
        """Yield the paths of the pictures: those of the folder itself, then folder by folder, by number."""
        folders = [path.name for path in self._root.iterdir() if path.is_dir() and path.name.startswith("sa_")]
        for folder in ("", *sorted(folders)):
            names = (path.name for path in (self._root / folder).iterdir())
            pictures = (name for name in names if name.startswith("sa_") and name.endswith(".jpg"))
            yield from (f"{folder}/{name}".lstrip("/") for name in sorted(pictures, key=by_number))

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a picture, which has no caption."""
        yield Entry(record, record, None, origin="SA-1B")


class ShareGpt4V(CorpusSource):
    """One of its JSON files, in ``data/`` with folders of pictures such as ``coco/train2017/``."""

    name = "sharegpt4v"
    license = "CC BY-NC 4.0"
    is_list = True
    unique = False

    def records(self) -> Iterator[Any]:
        """Yield the conversations."""
        return read_array(self._path)

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a conversation's picture and what was first answered about it."""
        if isinstance(record, dict) and "image" not in record:
            raise Rejected(SkipReason.IMAGE_MISSING, f"{record.get('id')}: a conversation without a picture")
        image = value_of(record, "image", str)
        turns = value_of(record, "conversations", list)
        answers = (value_of(turn, "value", str) for turn in turns if value_of(turn, "from", str) == "gpt")
        if embedded_image(image):
            yield Entry(to_name(record.get("id")), image, next(answers, None))
            return
        origin = str(PurePosixPath(image).parent).removesuffix("/images")
        yield Entry(image, image, next(answers, None), origin=origin)


class Urban1k(CorpusSource):
    """``Urban1k/`` with ``image/N.jpg`` and ``caption/N.txt``; all of it is a test set."""

    name = "urban1k"
    license = "CC BY-NC 4.0"
    layout = ("image", "caption")
    splits = ("test",)

    def records(self) -> Iterator[Any]:
        """Yield the names that a picture or a caption has, by number."""
        parts = {"image": ".jpg", "caption": ".txt"}
        files = {
            path.stem
            for folder, suffix in parts.items()
            for path in (self._root / folder).iterdir()
            if path.suffix == suffix and not is_stray(path.name)
        }
        return iter(sorted(files, key=by_number))

    def entries(self, record: Any) -> Iterable[Entry]:
        """Return a picture with the caption of the same name."""
        caption = None
        path = f"caption/{record}.txt"
        if (self._root / path).exists():
            try:
                caption = decode(read_file(self._root, path))
            except Rejected as rejected:
                raise Rejected(SkipReason.ROW_UNREADABLE, rejected.detail) from rejected
        yield Entry(record, f"image/{record}.jpg", caption, split="test")


CORPORA: dict[str, type[CorpusSource]] = {
    corpus.name: corpus
    for corpus in (Docci, Dci, Sa1b, ShareGpt4V, Urban1k, ImageInWords, Coco, Coco2017, Flickr30k, Goal)
}
"""By the name that ``--format`` takes."""
