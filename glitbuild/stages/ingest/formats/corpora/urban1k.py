"""Urban1k: 1,000 pictures of streets, of Long-CLIP (https://huggingface.co/datasets/BeichenZhang/Urban1k)."""

from collections.abc import Iterable, Iterator
from typing import Any

from glitbuild.files import is_stray
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.files import decode, read_file
from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, by_number


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
