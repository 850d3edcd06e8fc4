"""The members of a tar, each grouped to a WebDataset sample, and where the tar breaks off."""

import posixpath
import re
import tarfile
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from glitbuild.files import is_stray
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.files import MAX_BYTES, why
from glitbuild.stages.ingest.remote import AnyPath, RemotePath
from glitbuild.stages.ingest.values import plain

MAX_SPARSE = 1 << 28
"""Bytes of a sparse member with its holes: a tar of a kilobyte may claim terabytes."""
MAX_LINKS = 16
"""Links that may lead to another before a file comes."""
CHUNK = 1 << 20
KINDS = {
    tarfile.FIFOTYPE: "a pipe",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    b"M": "the rest of a file that begins in another volume",
}


class TarBrokenError(Exception):
    """A tar can't be read from some offset on."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"broken at byte {offset}: {reason}")


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar.

    Attributes:
        name: its path, without ``./`` and the like.
        offset: where its bytes are.
        size: how many, holes included.
        pieces: of a sparse file, the places and sizes of what is not a hole.
        problem: why it has no bytes; empty where it has.
        archive: in which of several tars, one behind the other, it is.
    """

    name: str
    offset: int
    size: int
    pieces: tuple[tuple[int, int], ...] | None = None
    problem: str = ""
    archive: int = 0


@dataclass(frozen=True, slots=True)
class _Link:
    """A hard or symbolic link to what the tar calls ``target``."""

    name: str
    target: str
    is_hard: bool
    offset: int
    archive: int


def read_member(path: AnyPath, member: Member) -> bytes:
    """Read the bytes of a member.

    Raises:
        OSError: the tar can't be read, or is shorter than it was.
        Rejected: the member has no bytes.
    """
    if member.problem:
        raise Rejected(SkipReason.IMAGE_MISSING, f"{member.name}: {member.problem}")
    size = member.size if member.pieces is None else sum(length for _, length in member.pieces)
    if size > MAX_BYTES:
        raise Rejected(SkipReason.IMAGE_TOO_LARGE, f"{member.name}: {size} bytes, at most {MAX_BYTES}")
    if isinstance(path, RemotePath):
        data = path.read_range(member.offset, size)
    else:
        with path.open("rb") as file:
            file.seek(member.offset)
            data = file.read(size)
    if len(data) < size:
        raise OSError(f"{member.name}: the tar is shorter than before")
    if member.pieces is None:
        return data
    whole, start = bytearray(member.size), 0
    for place, length in member.pieces:
        whole[place : place + length] = data[start : start + length]
        start += length
    return bytes(whole)


def read_members(path: AnyPath) -> Iterator[Member]:
    """Yield the files of a tar, links as the files they lead to.

    Raises:
        TarBrokenError: the tar is damaged or cut off.
    """
    links: _Links | None = None
    for entry in _entries(path):
        if isinstance(entry, _Link):
            links = links or _Links(path)
            yield links.resolve(entry)
        else:
            yield entry


class _Links:
    """Where the links of a tar lead to; only the files that one leads to are in memory."""

    def __init__(self, path: AnyPath) -> None:
        wanted = {entry.target for entry in _readable(path) if isinstance(entry, _Link)}
        self._found: dict[str, list[Member | _Link]] = {}
        for entry in _readable(path):
            if entry.name in wanted:
                self._found.setdefault(entry.name, []).append(entry)

    def resolve(self, link: _Link) -> Member:
        entry: Member | _Link = link
        for _ in range(MAX_LINKS):
            if not isinstance(entry, _Link):
                return Member(link.name, entry.offset, entry.size, entry.pieces, entry.problem, link.archive)
            found = self._found.get(entry.target, [])
            # A hard link is to a file before it; of several versions of a file, the last one counts.
            found = [other for other in found if other.offset < entry.offset] if entry.is_hard else found
            if not found:
                problem = f"a link to {entry.target}, which is not in the tar"
                return Member(link.name, 0, 0, problem=problem, archive=link.archive)
            entry = found[-1]
        return Member(link.name, 0, 0, problem="a link that leads round in circles", archive=link.archive)


def _readable(path: AnyPath) -> Iterator[Member | _Link]:
    try:
        yield from _entries(path)
    except TarBrokenError:  # the one that reads the members says so
        return


def _entries(path: AnyPath) -> Iterator[Member | _Link]:
    with path.open("rb") as file:
        end = file.seek(0, 2)
        start: int | None = 0
        archive = 0
        while start is not None:
            start = yield from _archive(file, start, end, archive)
            archive += 1


def _archive(file: IO[bytes], start: int, end: int, archive: int) -> Generator[Member | _Link, None, int | None]:
    """Yield the entries of one tar, and return where the next one begins, or None at the end of the file."""
    file.seek(start)
    offset = start
    try:
        # The names' encoding is set, or the terminal's would decide.
        tar = tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape")  # noqa: SIM115
        while (info := tar.next()) is not None:
            stored = tar.offset - info.offset_data
            # The last file need not fill its last block; how much of it a sparse file fills is not told.
            needed = info.size if info.isreg() and not info.issparse() else stored - tarfile.BLOCKSIZE + 1
            # A damaged header may claim any size, a negative one too, which would lead in circles.
            if stored < 0 or info.size < 0 or tar.offset <= offset or info.offset_data + needed > end:
                raise TarBrokenError(info.offset, f"{info.name} is cut off")
            offset = tar.offset
            tar.members = []  # type: ignore[attr-defined]  # tarfile keeps all it has seen
            if entry := _entry(info, stored, archive):
                yield entry
        offset = tar.offset
    except TarBrokenError:
        raise
    except Exception as error:  # a damaged header can make tarfile raise almost anything
        raise TarBrokenError(offset, why(error)) from error
    if archive and offset == start:
        raise TarBrokenError(offset, f"{end - offset} bytes that are no tar, behind the end of the one before")
    return _behind(file, offset)


def _entry(info: tarfile.TarInfo, stored: int, archive: int) -> Member | _Link | None:
    """Return what a header is about; None for a folder, and for what a desktop left there."""
    name = plain(info.name)
    if info.isdir() or info.type == b"V" or is_stray(name):  # V: the label of a volume
        return None
    if info.islnk():
        return _Link(name, plain(info.linkname), True, info.offset, archive)
    if info.issym():
        target = posixpath.join(posixpath.dirname(name), info.linkname)
        return _Link(name, plain(target), False, info.offset, archive)
    if info.issparse():
        sparse: Any = info.sparse  # pairs; typeshed says bytes
        pieces = tuple((place, length) for place, length in sparse if length)
        problem = _sparse_problem(pieces, info.size, stored)
        return Member(name, info.offset_data, info.size, pieces, problem, archive)
    problem = "" if info.isreg() else f"{KINDS.get(info.type, 'of an unknown kind')}, no file"
    return Member(name, info.offset_data, info.size, problem=problem, archive=archive)


def _sparse_problem(pieces: tuple[tuple[int, int], ...], size: int, stored: int) -> str:
    if size > MAX_SPARSE:
        return f"a sparse file of {size} bytes, at most {MAX_SPARSE}"
    if sum(length for _, length in pieces) > stored or any(
        place < 0 or length < 0 or place + length > size for place, length in pieces
    ):
        return "a sparse file whose map is damaged"
    return ""


def _behind(file: IO[bytes], offset: int) -> int | None:
    """Return where the next tar begins behind the end mark of one; None where nothing but zeros is left.

    Raises:
        TarBrokenError: there is no end mark, or something else behind it.
    """
    file.seek(offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        raise TarBrokenError(offset, "it ends without an end mark")
    if block.strip(b"\0"):
        raise TarBrokenError(offset, "no tar header")
    file.seek(offset)
    while chunk := file.read(CHUNK):
        zeros = len(chunk) - len(chunk.lstrip(b"\0"))
        if zeros < len(chunk):
            return offset + zeros // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE
        offset += len(chunk)
    return None


__all__ = ["Member", "TarBrokenError", "TarSample", "gather", "read_member", "read_samples"]

# As webdataset.tariterators has them; importing that package takes seconds, as it brings torch.
KEY_AND_EXTENSION = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
META = re.compile(r"__[^/]*__($|/)")

HELD = 100_000
"""Parts of samples that wait for the rest of them."""


@dataclass(slots=True)
class TarSample:
    """The members of one key.

    Attributes:
        key: the members' common name, folders included.
        members: by extension, in lower case.
        repeats: the members whose extension came before.
        cut: the tar breaks off after it, perhaps within it.
    """

    key: str
    members: dict[str, Member]
    repeats: list[Member] = field(default_factory=list)
    cut: bool = False


def read_samples(path: AnyPath) -> Iterator[TarSample | TarBrokenError]:
    """Yield the samples of an uncompressed tar; if it breaks off, the break after them.

    Members are grouped as WebDataset groups them: those of one key that are neighbours. Only headers are read,
    so memory holds one sample's names, never its bytes.
    """
    sample = None
    try:
        for member in read_members(path):
            match = KEY_AND_EXTENSION.match(member.name)
            if match is None or META.match(member.name):
                continue
            key, extension = match.group(1), match.group(2).lower()
            if sample is None or sample.key != key or _begins_another(sample, extension, member):
                if sample is not None:
                    yield sample
                sample = TarSample(key, {})
            if extension in sample.members:
                sample.repeats.append(member)
            else:
                sample.members[extension] = member
    except TarBrokenError as broken:
        if sample is not None:
            sample.cut = True
            yield sample
        yield broken
    else:
        if sample is not None:
            yield sample


def _begins_another(sample: TarSample, extension: str, member: Member) -> bool:
    """Return whether a name comes again in a tar behind another, whose last sample has the same key."""
    return extension in sample.members and sample.members[extension].archive != member.archive


def gather(
    samples: Iterable[TarSample | TarBrokenError],
    images: Collection[str],
    is_whole: Callable[[TarSample], bool],
) -> Iterator[TarSample | TarBrokenError]:
    """Yield the samples as they are meant where WebDataset's rules take them apart or throw them together.

    Members of a key that are not neighbours, as in a tar of a folder in no order, wait for each other; what is
    still not whole at the end comes last. ``IMG.1.jpg`` and ``IMG.2.jpg`` are two samples where ``IMG`` has
    nothing but such members, one of them an image.

    Args:
        samples: as ``read_samples`` yields them.
        images: extensions of images.
        is_whole: whether a sample lacks nothing.
    """
    held: dict[str, TarSample] = {}
    for found in samples:
        if isinstance(found, TarBrokenError):
            yield from held.values()
            held.clear()
            yield found
            continue
        for sample in _taken_apart(found, images):
            other = held.get(sample.key)
            if other is not None and not other.members.keys() & sample.members.keys():
                members = other.members | sample.members
                sample = TarSample(sample.key, members, [*other.repeats, *sample.repeats])
                del held[sample.key]
            if sample.repeats or is_whole(sample):
                yield sample
                continue
            if sample.key in held:
                yield held.pop(sample.key)
            held[sample.key] = sample
            if len(held) > HELD:
                yield held.pop(next(iter(held)))
    yield from held.values()


def _taken_apart(sample: TarSample, images: Collection[str]) -> list[TarSample]:
    """Return a sample, or several where all of its names have a dot before that of the extension."""
    names = [(*extension.rpartition(".")[::2], extension) for extension in sample.members]
    if not all(front for front, _, _ in names) or not any(last in images for _, last, _ in names):
        return [sample]
    parts: dict[str, TarSample] = {}
    for _, last, extension in names:
        member = sample.members[extension]
        key = member.name.rpartition(".")[0]
        part = parts.setdefault(key, TarSample(key, {}))
        if last in part.members:
            part.repeats.append(member)
        else:
            part.members[last] = member
    for member in sample.repeats:
        key = member.name.rpartition(".")[0]
        parts.setdefault(key, TarSample(key, {})).repeats.append(member)
    whole = list(parts.values())
    whole[-1].cut = sample.cut
    return whole
