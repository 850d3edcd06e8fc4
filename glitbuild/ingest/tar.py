"""The members of a tar in order, each grouped to a WebDataset sample, and where the tar breaks off."""

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from glitbuild.ingest.files import why
from glitbuild.ingest.remote import AnyPath, RemotePath

# As webdataset.tariterators has them; importing that package takes seconds, as it brings torch.
KEY_AND_EXTENSION = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
META = re.compile(r"__[^/]*__($|/)")


class TarBrokenError(Exception):
    """A tar can't be read from some offset on."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"broken at byte {offset}: {reason}")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar: its name, and where its bytes are."""

    name: str
    offset: int
    size: int


@dataclass(slots=True)
class TarSample:
    """The adjacent members of one key.

    Attributes:
        key: the members' common name, folders included.
        members: by extension, in lower case.
        repeated: the name of the first member that came twice.
        cut: the tar breaks off after it, perhaps within it.
    """

    key: str
    members: dict[str, Member]
    repeated: str | None = None
    cut: bool = False


def read_member(path: AnyPath, member: Member) -> bytes:
    """Read the bytes of a member.

    Raises:
        OSError: the tar can't be read, or is shorter than it was.
    """
    if isinstance(path, RemotePath):
        data = path.read_range(member.offset, member.size)
    else:
        with path.open("rb") as file:
            file.seek(member.offset)
            data = file.read(member.size)
    if len(data) < member.size:
        raise OSError(f"{member.name}: the tar is shorter than before")
    return data


def read_samples(path: AnyPath) -> Iterator[TarSample | TarBrokenError]:
    """Yield the samples of an uncompressed tar; if it breaks off, the break after them.

    Members are grouped as WebDataset groups them. Only headers are read, so memory holds one sample's
    names, never its bytes.
    """
    sample = None
    try:
        for member in _read_members(path):
            match = KEY_AND_EXTENSION.match(member.name)
            if match is None or META.match(member.name):
                continue
            key, extension = match.group(1), match.group(2).lower()
            if sample is None or sample.key != key:
                if sample is not None:
                    yield sample
                sample = TarSample(key, {})
            if extension in sample.members:
                sample.repeated = sample.repeated or member.name
            sample.members.setdefault(extension, member)
    except TarBrokenError as broken:
        if sample is not None:
            sample.cut = True
            yield sample
        yield broken
    else:
        if sample is not None:
            yield sample


def _read_members(path: AnyPath) -> Iterator[Member]:
    """Yield the regular files of a tar; raise TarBrokenError where it is damaged or cut off."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        offset = 0
        try:
            tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - the file is what must be closed
            while (info := tar.next()) is not None:
                # A damaged header may claim any size, a negative one too, which would lead in circles.
                if info.size < 0 or tar.offset <= offset or info.offset_data + info.size > end:
                    raise TarBrokenError(info.offset, f"{info.name} is cut off")
                offset = tar.offset
                tar.members = []  # type: ignore[attr-defined]  # tarfile keeps all it has seen
                if info.isreg() and not info.issparse():
                    yield Member(info.name, info.offset_data, info.size)
            offset = tar.offset
        except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
            raise TarBrokenError(offset, why(error)) from error
        _check_end(file, offset)


def _check_end(file: IO[bytes], offset: int) -> None:
    """Raise TarBrokenError unless a block of zeros ends the tar: tarfile takes any other end as well."""
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise TarBrokenError(offset, "it ends without an end mark")
    if block.strip(b"\0"):
        raise TarBrokenError(offset, "no tar header")
