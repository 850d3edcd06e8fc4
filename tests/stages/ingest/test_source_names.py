"""Names that are not UTF-8, and several names of one file, through the whole of ingest."""

import io
import json
import os
import tarfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glitbuild.files import is_stray
from glitbuild.stages.ingest.values import plain, same_file
from tests.factories import jpeg
from tests.run import done, here

ODD = os.fsdecode(b"caf\xe9\xff")


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """One input of each kind, named in no UTF-8, with a row named likewise."""
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / f"a{ODD}.jpg").write_bytes(jpeg(seed=1))
    (folder / f"a{ODD}.txt").write_text("A dog.")
    (folder / f"lone{ODD}.txt").write_text("No picture.")
    (tmp_path / f"{ODD}.jsonl").write_bytes(
        os.fsencode(
            json.dumps({"image": f"{ODD}/a{ODD}.jpg", "id": f"x{ODD}", "caption": "A."}, ensure_ascii=False)
        )
    )
    (tmp_path / f"{ODD}.csv").write_bytes(
        os.fsencode(f"image,id,caption\n{ODD}/a{ODD}.jpg,x{ODD},A.\n,y{ODD},B.\n")
    )
    table = {"image": [jpeg(seed=1), b"no image"], "caption": ["A.", "B."]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").rename(tmp_path / f"{ODD}.parquet")
    datasets.Dataset.from_dict(table).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved").rename(tmp_path / f"saved{ODD}")
    with tarfile.open(tmp_path / f"{ODD}.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in ((f"a{ODD}.jpg", jpeg(seed=1)), (f"a{ODD}.txt", b"A."), (f"b{ODD}.txt", b"B.")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        tar.addfile(tarfile.TarInfo("cut.jpg"))
    with (tmp_path / f"{ODD}.tar").open("ab") as file:
        file.write(b"something else")
    return tmp_path


@pytest.mark.parametrize(
    "name", [ODD, *(f"{ODD}.{kind}" for kind in ("jsonl", "csv", "tar", "parquet")), f"saved{ODD}"]
)
def test_names_of_inputs_rows_and_datasets(sources: Path, name: str) -> None:
    out = f"out{ODD}"
    first = here("ingest", name, "--out", out, cwd=sources)
    assert first.returncode == 0, first.stderr
    for path in (sources / out).rglob("*.json*"):
        path.read_bytes().decode("utf-8")
        for line in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            json.dumps(json.loads(line), ensure_ascii=False).encode()  # no escaped half of a surrogate pair either
    again = here("ingest", name, "--out", out, cwd=sources)
    assert again.stdout.startswith("nothing to do"), again.stderr
    (sources / out / "manifest.json").unlink()
    assert here("ingest", name, "--out", out, cwd=sources).returncode == 0, "it goes on"
    assert here("validate", out, cwd=sources).returncode == 0
    excluded = here("ingest", name, "--out", "other", "--exclude", out, cwd=sources)
    assert (excluded.returncode, "excluded_image" in excluded.stdout) == (0, True), excluded.stderr


@pytest.mark.slow
def test_on_a_terminal(sources: Path) -> None:
    """The standard output of a process takes UTF-8 only, unlike what stands in for it above."""
    shown = "caf\\udce9\\udcff"
    assert f"{shown}{shown}: 1 samples" in done("ingest", f"{ODD}.jsonl", "--out", ODD + ODD, cwd=sources)
    made = here("preview", ODD + ODD, "--out", f"{ODD}.html", cwd=sources)
    assert (made.returncode, (sources / f"{ODD}.html").stat().st_size > 0) == (0, True), made.stderr


def test_several_names_of_one_picture_are_captions_of_it(tmp_path: Path) -> None:
    """Under another name it would be a duplicate, whatever its caption."""
    (tmp_path / "b").mkdir()
    (tmp_path / "a.jpg").write_bytes(jpeg())
    names = ["a.jpg", "./a.jpg", "b/../a.jpg", "b//..//a.jpg", ".//./a.jpg"]
    rows = [{"image": name, "caption": f"A dog as {name}."} for name in names]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = "".join(f"{row['image']},{row['caption']}\n" for row in rows)
    (tmp_path / "rows.csv").write_text("image,caption\n" + table)
    for source in ("rows.jsonl", "rows.csv"):
        result = here("ingest", source, "--out", source[5:], cwd=tmp_path)
        assert "5 samples in 1 shards, 0 skipped" in result.stdout, result.stdout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[("./a.jpg", "a.jpg"), ("b/../a.jpg", "a.jpg"), ("b//c/./a.jpg", "b/c/a.jpg"), ("../a.jpg", "../a.jpg")],
        *[("/a.jpg", "a.jpg"), ("b/../../a.jpg", "../a.jpg"), ("../../a", "../../a"), ("a/", "a"), ("...", "...")],
    ],
)
def test_plain(name: str, expected: str) -> None:
    assert plain(name) == expected
    assert same_file(name) == ("/" if name[0] == "/" else "") + expected


def test_addresses_are_left_as_they_are() -> None:
    assert same_file("http://a//b/../c") == "http://a//b/../c"


@pytest.mark.parametrize(
    "name", ["._a.jpg", "d/.DS_Store", "__MACOSX/a.jpg", "d/thumbs.DB", ".git/config", "@eaDir/a"]
)
def test_stray(name: str) -> None:
    assert is_stray(name)


@pytest.mark.parametrize("name", ["a.jpg", ".hidden.jpg", "git/a.jpg", "MACOSX/a.jpg", "a._b.jpg", "", "."])
def test_not_stray(name: str) -> None:
    assert not is_stray(name)
