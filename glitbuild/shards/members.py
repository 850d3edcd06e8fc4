"""Where the members of each sample lie in a shard's tar, so that one sample is one range of bytes."""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from glitbuild.records import Sample


class Members(NamedTuple):
    """Where a sample's members lie in its tar: offset and size of each one's data, in bytes.

    The last two are 0 where there is no KEY.txt.
    """

    key: str
    jpg_offset: int
    jpg_size: int
    json_offset: int
    json_size: int
    txt_offset: int = 0
    txt_size: int = 0

    @property
    def span(self) -> tuple[int, int]:
        """The bytes ``[start, end)`` of the tar that hold all members."""
        return self.jpg_offset, max(self.json_offset + self.json_size, self.txt_offset + self.txt_size)

    def to_list(self) -> list[str | int]:
        """Return them as a sidecar has them: five values, or seven with a KEY.txt."""
        return list(self if self.txt_offset else self[:5])

    def unpack(self, data: bytes) -> tuple[Sample, bytes]:
        """Return the sample and its JPEG.

        Args:
            data: the bytes of ``span``.

        Raises:
            KeyError, TypeError, ValueError: they are not those of this sample.
        """
        if len(data) != self.span[1] - self.span[0]:
            raise ValueError(f"{self.key} is cut off")
        sample, jpeg = Sample.from_json(self._cut(data, self.json_offset, self.json_size)), data[: self.jpg_size]
        if sample.key != self.key:
            raise ValueError(f"the record of {sample.key} is in the place of {self.key}")
        if hashlib.sha256(jpeg).hexdigest() != sample.image.sha256:
            raise ValueError(f"the SHA-256 of the image of {self.key} is not the one in its record")
        if self.txt_offset and self._cut(data, self.txt_offset, self.txt_size) != sample.caption.encode():
            raise ValueError(f"{self.key}.txt is not the caption in its record")
        return sample, jpeg

    def _cut(self, data: bytes, offset: int, size: int) -> bytes:
        return data[offset - self.jpg_offset :][:size]


@dataclass(frozen=True, slots=True)
class RawSample:
    """The content of a sample's members; ``text`` is None where there is no KEY.txt."""

    members: Members
    jpeg: bytes
    record: bytes
    text: bytes | None


def group(contents: Iterable[tuple[tarfile.TarInfo, bytes]]) -> Iterator[RawSample]:
    """Put the members of a tar together: KEY.jpg, KEY.json and, in most datasets, KEY.txt.

    Raises:
        tarfile.ReadError: they come in another order.
    """
    rest = iter(contents)
    image = next(rest, None)
    while image:
        (info, jpeg), record = image, next(rest, None)
        key = info.name.removesuffix(".jpg")
        if info.name == key or record is None or record[0].name != f"{key}.json":
            raise tarfile.ReadError(f"{info.name} is not a KEY.jpg followed by its KEY.json")
        places = [info.offset_data, info.size, record[0].offset_data, record[0].size]
        following, text = next(rest, None), None
        if following and following[0].name == f"{key}.txt":
            places += [following[0].offset_data, following[0].size]
            text, following = following[1], next(rest, None)
        yield RawSample(Members(key, *places), jpeg, record[1], text)
        image = following


def scan(file: IO[bytes]) -> list[Members]:
    """Return where the samples of a tar lie; only its headers are read.

    Raises:
        tarfile.TarError: it is no tar of samples.
    """
    with tarfile.open(fileobj=file, mode="r:") as tar:
        return [raw.members for raw in group((info, b"") for info in tar)]
