"""The members of a tar, each grouped to a WebDataset sample, and where the tar breaks off."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from glitbuild.stages.ingest.formats.tar_members import Member, TarBrokenError, read_member, read_members
from glitbuild.stages.ingest.remote import AnyPath

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
