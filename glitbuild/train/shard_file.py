"""Single samples out of a shard's tar, which is not compressed: only what is asked for is read."""

import tarfile
from typing import Any

from glitbuild.errors import DatasetError
from glitbuild.records import Sample
from glitbuild.shards.layout import tar_path
from glitbuild.shards.store import Store


class ShardFile:
    """An open shard.

    Args:
        store: the dataset directory.
        shard: the shard's name.
        samples: what the manifest says it holds.

    Raises:
        DatasetError: the tar is damaged, or holds another number of samples.
    """

    def __init__(self, store: Store, shard: str, samples: int) -> None:
        self._where = f"{store}/{tar_path(shard)}"
        try:
            self._file: Any = store.open(tar_path(shard))
            with tarfile.open(fileobj=self._file, mode="r:") as tar:  # reads the headers alone
                members = [(member.name, member.offset_data, member.size) for member in tar]
        except (OSError, tarfile.TarError) as error:
            raise self._damaged(str(error) or type(error).__name__) from error
        self._members = {name: (offset, size) for name, offset, size in members}
        self._stems = [name.removesuffix(".jpg") for name, _, _ in members[::2]]
        if len(members) != 2 * samples or any(f"{stem}.json" not in self._members for stem in self._stems):
            raise self._damaged(f"it doesn't hold {samples} samples")

    def read(self, row: int) -> tuple[Sample, bytes]:
        """Return a sample and its JPEG.

        Raises:
            DatasetError: the record doesn't fit the schema.
        """
        stem = self._stems[row]
        try:
            return Sample.from_json(self._content(f"{stem}.json")), self._content(f"{stem}.jpg")
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(f"the record {stem} doesn't fit the schema ({error!r})") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _content(self, name: str) -> bytes:
        offset, size = self._members[name]
        self._file.seek(offset)
        return bytes(self._file.read(size))

    def _damaged(self, why: str) -> DatasetError:
        return DatasetError(self._where, why, "run `glitbuild validate`, and make the shard again")
