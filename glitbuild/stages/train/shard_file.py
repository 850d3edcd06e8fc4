"""Single samples out of a shard's tar, which is not compressed: only what is asked for is read."""

import tarfile
from typing import IO

from glitbuild.errors import DatasetError
from glitbuild.records import Sample
from glitbuild.shards.members import scan


class ShardFile:
    """An open shard.

    Args:
        file: its tar, on this machine.
        where: what messages call it.
        samples: what the manifest says it holds.

    Raises:
        DatasetError: the tar is damaged, or holds another number of samples.
    """

    def __init__(self, file: IO[bytes], where: str, samples: int) -> None:
        self._file, self._where = file, where
        try:
            self._members = scan(file)
        except (OSError, tarfile.TarError) as error:
            raise self._damaged(str(error) or type(error).__name__) from error
        if len(self._members) != samples:
            raise self._damaged(f"it doesn't hold {samples} samples")

    def read(self, row: int) -> tuple[Sample, bytes]:
        """Return a sample and its JPEG.

        Raises:
            DatasetError: what is there is another sample, or none.
        """
        members = self._members[row]
        start, end = members.span
        self._file.seek(start)
        try:
            return members.unpack(self._file.read(end - start))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(f"sample {members.key} can't be read ({error!r})") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _damaged(self, why: str) -> DatasetError:
        return DatasetError(self._where, why, "run `glitbuild validate`, and make the shard again")
