"""ShareGPT4V: captions by GPT-4V and by ShareCaptioner (https://huggingface.co/datasets/Lin-Chen/ShareGPT4V)."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.embedded import embedded_image
from glitbuild.stages.ingest.formats.corpora.corpus import CorpusSource, Entry, value_of
from glitbuild.stages.ingest.formats.json_array import read_array
from glitbuild.stages.ingest.values import to_name


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
