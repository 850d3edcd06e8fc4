import os
import random
import string
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webdataset import TarWriter
from webdataset.tariterators import group_by_keys, tar_file_expander

from glitbuild.ingest.source import SourceOptions
from glitbuild.ingest.tar import Member, read_member, read_samples
from glitbuild.ingest.webdataset import WebDatasetSource
from glitbuild.records import SkipReason

from .conftest import write_tar


def tar_of(count, path, size=300):
    members = [(f"{n:03}.{ext}", bytes([n]) * size) for n in range(1, count + 1) for ext in ("jpg", "txt")]
    return write_tar(path, members).read_bytes()


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_cut_off_anywhere(tmp_path, format):
    """Whatever is left, the whole samples come, then one row for the rest."""
    path = tmp_path / "x.tar"
    members = [(f"{'long/' * 30}{n}.{ext}", b"x" * 300) for n in (1, 2, 3) for ext in ("jpg", "txt")]
    whole = write_tar(path, members, format).read_bytes()
    starts = [whole.index(b"%d.txt\0" % n) for n in (1, 2, 3)] if format == tarfile.GNU_FORMAT else []
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    for keep in [*range(0, end, 256), *starts]:
        path.write_bytes(whole[:keep])
        rows = list(WebDatasetSource([path], "x", SourceOptions()).rows())
        assert rows[-1].rejected.reason == SkipReason.ROW_UNREADABLE
        assert rows[-1].rejected.detail.startswith("x.tar: broken at byte ")
        assert rows[-1].source.id == "x.tar"
        assert all(row.rejected is None and row.read_image() == b"x" * 300 for row in rows[:-1])
    assert len(rows) == 4 or keep < end
    path.write_bytes(whole)
    assert [row.rejected for row in WebDatasetSource([path], "x", SourceOptions()).rows()] == [None] * 3


def test_a_break_in_one_tar_leaves_the_next(tmp_path):
    (tmp_path / "1.tar").write_bytes(tar_of(3, tmp_path / "0.tar")[:2000])
    paths = [tmp_path / "1.tar", tmp_path / "0.tar"]
    rows = list(WebDatasetSource(paths, "x", SourceOptions()).rows())
    assert [row.source.id for row in rows] == ["001", "1.tar", "001", "002", "003"]


@pytest.mark.parametrize("data", [b"", b"no tar", b"\x1f\x8b" + b"x" * 2000, os.urandom(5000)])
def test_no_tar_at_all(tmp_path, data):
    (tmp_path / "x.tar").write_bytes(data)
    (row,) = WebDatasetSource([tmp_path / "x.tar"], "x", SourceOptions()).rows()
    assert row.rejected.reason == SkipReason.ROW_UNREADABLE


def test_an_empty_tar(tmp_path):
    assert list(WebDatasetSource([write_tar(tmp_path / "x.tar", [])], "x", SourceOptions()).rows()) == []


def test_damage_ends_and_raises_nothing(tmp_path):
    path = tmp_path / "x.tar"
    whole = tar_of(4, path)
    randomness = random.Random(0)
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(randomness.choice([1, 4, 40])):
            # The fields of a header, more often than what is between headers
            at = randomness.randrange(len(data) // 512) * 512 + randomness.choice([0, 124, 130, 135, 148, 156, 300])
            data[at] = randomness.choice([0, 0x80, 0xFF, ord("7"), ord("-"), ord("x"), ord("S"), ord("L")])
        path.write_bytes(data)
        for row in WebDatasetSource([path], "x", SourceOptions()).rows():
            if row.rejected is None:
                row.read_image()


def reference(path):
    """What the webdataset package makes of a tar: key, extensions, image."""
    with path.open("rb") as stream:
        for sample in group_by_keys(tar_file_expander([{"url": path.name, "stream": stream}])):
            extensions = [name for name in sample if name not in ("__key__", "__url__")]
            yield sample["__key__"], extensions, [sample[extension] for extension in extensions]


def ours(path):
    for sample in read_samples(path):
        yield (
            sample.key,
            list(sample.members),
            [read_member(path, member) for member in sample.members.values()],
        )


NAMES = st.text(st.sampled_from("ab._/é" + string.ascii_uppercase[:2]), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NAMES, max_size=8, unique_by=str.lower),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_samples_are_those_of_webdataset(tmp_path_factory, names, format):
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    write_tar(path, [(name, str(index)) for index, name in enumerate(names)], format)
    assert list(ours(path)) == list(reference(path))


def test_tars_of_webdataset(tmp_path, jpeg):
    path = tmp_path / "x.tar"
    with TarWriter(str(path)) as writer:
        for number in range(5):
            writer.write({"__key__": f"a/{number}", "jpg": jpeg, "txt": f"caption {number}", "json": {"url": "u"}})
    assert list(ours(path)) == list(reference(path))
    rows = list(WebDatasetSource([path], "x", SourceOptions()).rows())
    assert [(row.source.id, row.caption, row.source.url) for row in rows] == [
        (f"a/{number}", f"caption {number}", "u") for number in range(5)
    ]


def test_a_tar_that_shrank_is_an_os_error(tmp_path):
    path = write_tar(tmp_path / "x.tar", [("a.jpg", b"x")])
    with pytest.raises(OSError, match=r"a.jpg: the tar is shorter"):
        read_member(path, Member("a.jpg", 512, 10**6))
