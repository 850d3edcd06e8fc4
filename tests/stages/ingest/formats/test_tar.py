import io
import os
import random
import string
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webdataset import TarWriter
from webdataset.tariterators import group_by_keys, tar_file_expander

from glitbuild.files import is_stray
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.formats.tar import Member, read_member, read_samples
from glitbuild.stages.ingest.formats.webdataset import WebDatasetSource
from glitbuild.stages.ingest.source import SourceOptions
from glitbuild.stages.ingest.values import plain
from tests.stages.ingest.conftest import write_tar


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


LETTERS = st.text(st.sampled_from("ab._/é" + string.ascii_uppercase[:2]), min_size=1, max_size=8)
NAMES = LETTERS.filter(lambda name: plain(name) == name and not is_stray(name))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.lists(NAMES, max_size=8, unique_by=str.lower),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_samples_are_those_of_webdataset(tmp_path_factory, names, format):
    path = tmp_path_factory.mktemp("tar") / "x.tar"
    write_tar(path, [(name, str(index)) for index, name in enumerate(names)], format)
    assert list(ours(path)) == list(reference(path))


@pytest.fixture
def parts(tmp_path, jpeg):
    """Two tars of three samples each."""
    paths = []
    for part in range(2):
        names = [f"{number}.{ext}" for number in range(3 * part, 3 * part + 3) for ext in ("jpg", "txt")]
        members = [(name, jpeg if name.endswith("jpg") else name) for name in names]
        paths.append(write_tar(tmp_path / f"{part}.tar", members))
    return [path.read_bytes() for path in paths]


def rows_of(path, data=None, **options):
    if data is not None:
        path.write_bytes(data)
    source = WebDatasetSource([path], "x", SourceOptions(**options))
    return [(row.source.id, row.rejected.detail if row.rejected else row.caption) for row in source.rows()]


SIX = [(str(number), f"{number}.txt") for number in range(6)]


@pytest.mark.parametrize(
    "join",
    [
        lambda one, two: one + two,
        lambda one, two: one + bytes(512 * 4100) + two,  # beyond what is read at a time
        lambda one, two: one.rstrip(b"\0") + bytes(-len(one.rstrip(b"\0")) % 512 + 512) + two,  # a lone zero block
        lambda one, two: one + bytes(10240) + two + bytes(10000),
    ],
)
def test_tars_one_behind_the_other(tmp_path, jpeg, parts, join):
    assert rows_of(tmp_path / "x.tar", join(*parts)) == SIX
    rows = list(WebDatasetSource([tmp_path / "x.tar"], "x", SourceOptions()).rows())
    assert all(row.read_image() == jpeg for row in rows)


def test_zeros_within_a_sample(tmp_path):
    path = tmp_path / "x.tar"
    one = write_tar(path, [("a.jpg", b"x"), ("a.txt", "A.")]).read_bytes()
    assert rows_of(path, one[:1024] + bytes(512) + one[1024:]) == [("a", "A.")]


def test_a_key_that_comes_again_in_a_tar_behind(tmp_path, jpeg):
    """The named-once rule of ingest then skips the second."""
    path = tmp_path / "x.tar"
    one = write_tar(path, [("a.jpg", jpeg), ("a.txt", "A.")]).read_bytes()
    assert rows_of(path, one * 2) == [("a", "A."), ("a", "A.")]


@pytest.mark.parametrize("garbage", [b"\n", b"hello" * 5, b"x" * 512, b"x" * 5000, b"\x1f\x8b\x08" + b"z" * 600])
def test_what_is_behind_a_tar_is_a_row(tmp_path, parts, garbage):
    *rows, (name, detail) = rows_of(tmp_path / "x.tar", parts[0] + garbage)
    assert rows == SIX[:3]
    assert name == "x.tar" and "broken at byte 10240" in detail and "no tar, behind the end" in detail


def test_a_cut_tar_behind_another(tmp_path, parts):
    *rows, (name, detail) = rows_of(tmp_path / "x.tar", parts[0] + parts[1][:1800])
    assert (rows, name) == (SIX[:3], "x.tar") and "broken at byte " in detail


def gnu_tar(path, *options):
    """Have GNU tar write what is in the folder, in the order given."""
    subprocess.run(["tar", "-C", path.parent / "in", "-cf", path, *options], check=True)


def with_holes(path, pieces, hole):
    """Write a file of so many random pieces, a hole of as many bytes before and behind each."""
    with path.open("wb") as file:
        for _ in range(pieces):
            file.seek(hole, os.SEEK_CUR)
            file.write(os.urandom(4096))
        file.truncate(file.tell() + hole)
    return path.read_bytes()


@pytest.mark.parametrize(
    "format",
    [
        ["--format=gnu"],
        ["--format=posix", "--sparse-version=0.0"],
        ["--format=posix", "--sparse-version=0.1"],
        ["--format=posix", "--sparse-version=1.0"],
    ],
)
@pytest.mark.parametrize("pieces", [1, 40])
def test_sparse_members_are_read(tmp_path, format, pieces):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text(f"{name}.")
        whole = with_holes(folder / f"{name}.jpg", pieces, 16 * 4096)
    names = [f"{name}.{ext}" for name in "abc" for ext in ("jpg", "txt")]
    path = tmp_path / "x.tar"
    gnu_tar(path, "--sparse", *format, *names)
    assert path.stat().st_size < 2 * len(whole), "it is sparse indeed"
    rows = list(WebDatasetSource([path], "x", SourceOptions()).rows())
    assert [(row.source.id, row.caption) for row in rows] == [("a", "a."), ("b", "b."), ("c", "c.")]
    assert rows[2].read_image() == whole
    data = path.read_bytes()
    assert len(rows_of(path, data[: data.rindex(b"c.txt") - 600])) == 3, "two samples, and a row for the break"


def test_a_sparse_member_that_claims_terabytes(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "a.jpg").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(name)
    (folder / "b.jpg").write_bytes(b"b")
    gnu_tar(tmp_path / "x.tar", "--sparse", "a.jpg", "a.txt", "b.jpg", "b.txt")
    first, second = WebDatasetSource([tmp_path / "x.tar"], "x", SourceOptions()).rows()
    with pytest.raises(Rejected, match="a sparse file of 1099511627776 bytes"):
        first.read_image()
    assert second.read_image() == b"b"


def test_links_and_devices(tmp_path):
    path = tmp_path / "x.tar"
    kinds = {
        "hard.jpg": (tarfile.LNKTYPE, "d/a.jpg"),
        "d/soft.jpg": (tarfile.SYMTYPE, "./../d/a.jpg"),
        "twice.jpg": (tarfile.SYMTYPE, "d/soft.jpg"),
        "out.jpg": (tarfile.SYMTYPE, "../../etc/passwd"),
        "round.jpg": (tarfile.SYMTYPE, "round.jpg"),
        "pipe.jpg": (tarfile.FIFOTYPE, ""),
        "disk.jpg": (tarfile.BLKTYPE, ""),
        "odd.jpg": (b"Z", ""),
    }
    with tarfile.open(path, "w") as tar:
        for name, data in [("d/a.jpg", b"picture"), ("d/a.txt", b"A.")]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for name, (kind, target) in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
            info = tarfile.TarInfo(name.replace("jpg", "txt"))
            info.size = 1
            tar.addfile(info, io.BytesIO(b"c"))
    found = {}
    for row in WebDatasetSource([path], "x", SourceOptions()).rows():
        try:
            found[row.source.id] = row.read_image()
        except Rejected as rejected:
            assert rejected.reason == SkipReason.IMAGE_MISSING
            found[row.source.id] = rejected.detail
    assert found == {
        **dict.fromkeys(("d/a", "hard", "d/soft", "twice"), b"picture"),
        "out": "out.jpg: a link to ../../etc/passwd, which is not in the tar",
        "round": "round.jpg: a link that leads round in circles",
        "pipe": "pipe.jpg: a pipe, no file",
        "disk": "disk.jpg: a device, no file",
        "odd": "odd.jpg: of an unknown kind, no file",
    }


def test_members_that_are_not_neighbours(tmp_path):
    path = tmp_path / "x.tar"
    members = [
        *[("a.jpg", b"a"), ("c.txt", "C."), ("b.json", {"url": "u"}), ("a.txt", "A.")],
        *[("b.jpg", b"b"), ("d.txt", "D."), ("c.jpg", b"c"), ("b.txt", "B."), ("e.jpg", b"e"), ("c.json", {})],
    ]
    write_tar(path, members)
    rows = rows_of(path)
    lone = "no image among its members: "
    assert rows[:2] == [("a", "A."), ("b", None)], (
        "an image and an object are enough, as the object may hold a caption"
    )
    assert rows[2:] == [
        ("c", "C."),
        ("d", f"d: {lone}txt"),
        ("b", f"b: {lone}txt"),
        ("e", None),
        ("c", f"c: {lone}json"),
    ]


def test_all_pictures_before_all_texts(tmp_path):
    path = tmp_path / "x.tar"
    names = [f"{number}.{ext}" for ext in ("jpg", "json", "txt") for number in range(6)]
    members = [(name, {"url": "u"} if name.endswith("json") else name) for name in names if "json" not in name]
    write_tar(path, members)
    assert rows_of(path) == SIX


def test_names_that_are_one_file(tmp_path):
    path = tmp_path / "x.tar"
    write_tar(
        path,
        [
            ("./a.jpg", b"1"),
            ("a.txt", "A."),
            ("b/../c.jpg", b"2"),
            (".//c.txt", "C."),
            ("/d.jpg", b"3"),
            ("d.txt", "D."),
        ],
    )
    assert rows_of(path) == [("a", "A."), ("c", "C."), ("d", "D.")]
    write_tar(path, [("a.jpg", b"1"), ("a.txt", "A."), ("./a.jpg", b"2")])
    assert rows_of(path) == [("a", "a.jpg is in the sample twice")] * 2


def test_names_with_dots(tmp_path):
    path = tmp_path / "x.tar"
    names = ["IMG.1.jpg", "IMG.1.txt", "IMG.2.JPG", "IMG.2.txt", "v1.0/a.jpg", "v1.0/a.txt"]
    write_tar(path, [(name, name) for name in names])
    assert rows_of(path) == [("IMG.1", "IMG.1.txt"), ("IMG.2", "IMG.2.txt"), ("v1.0/a", "v1.0/a.txt")]
    write_tar(path, [(name, name) for name in ("IMG.2.jpg", "IMG.1.txt", "IMG.2.txt", "IMG.1.jpg", "IMG.2.jpg")])
    twice = "IMG.2.jpg is in the sample twice"
    assert rows_of(path) == [("IMG.2", twice), ("IMG.2", twice), ("IMG.1", "IMG.1.txt")]


def test_what_desktops_leave(tmp_path):
    path = tmp_path / "x.tar"
    names = [
        "._a.jpg",
        "a.jpg",
        "._a.txt",
        "a.txt",
        "d/._b.jpg",
        "d/b.jpg",
        "d/.DS_Store",
        "d/b.txt",
        "__MACOSX/d/._b.jpg",
    ]
    names += ["Thumbs.db", "d/desktop.ini", ".ipynb_checkpoints/a-checkpoint.jpg", ".git/x.jpg"]
    write_tar(path, [(name, name) for name in names])
    assert rows_of(path) == [("a", "a.txt"), ("d/b", "d/b.txt")]


def test_names_that_are_no_utf8(tmp_path):
    path = tmp_path / "x.tar"
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(path, "w", format=format, encoding="latin-1") as tar:
            for name in ("caf\xe9.jpg", "caf\xe9.txt"):
                tar.addfile(tarfile.TarInfo(name))
        ((name, _),) = rows_of(path)
        assert name == ("café" if format == tarfile.PAX_FORMAT else "caf\udce9")


def test_a_folder_with_a_size(tmp_path):
    """As some writers have it: nothing is stored for it."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
        info = tarfile.TarInfo("d")
        info.type, info.size = tarfile.DIRTYPE, 1 << 30
        tar.fileobj.write(info.tobuf(tarfile.USTAR_FORMAT))
        tar.offset += 512
    assert rows_of(path) == [("a", None)]


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
