"""DCI, Densely Captioned Images: 7,805 pictures of SA-1B (https://github.com/facebookresearch/DCI)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.files import is_stray
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.columns import to_caption
from glitbuild.stages.ingest.files import parse_object, read_file
from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, by_number, value_of
from glitbuild.stages.ingest.given_boxes import XYXY, RowBoxes, read_boxes
from glitbuild.stages.ingest.remote import AnyPath
from glitbuild.stages.ingest.source import SourceOptions

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
