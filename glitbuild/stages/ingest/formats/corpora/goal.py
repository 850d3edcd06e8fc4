"""The JSON lists of GOAL: test sets, and the local pairs it trains on (https://github.com/PerceptualAI-Lab/GOAL)."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, value_of
from glitbuild.stages.ingest.formats.json_array import read_array


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
