"""Every spelling of an output that would write over an input is refused, and nothing else is."""

import os
from pathlib import Path

import pytest

from glitbuild.errors import ConfigError
from glitbuild.shards.output import Location, check_writable, refuse_inside, refuse_overlap
from glitbuild.shards.store import Store
from tests.run import here, tree


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make what looks like a dataset directory, with pictures in a folder of their own beside its files."""
    folder = tmp_path / "data"
    for name in ("shards/00000.tar", "shards/00000.json", "pairs/00000.parquet", "skipped/00000.jsonl"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "photos").mkdir()
    (folder / "manifest.json").write_bytes(b"{}")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars" / "a.tar").symlink_to(folder / "shards" / "00000.tar")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "shards").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    return folder


REFUSED = [
    ("data", "data"),
    ("data/", "data"),
    ("data", "./data/."),
    ("data", "data/photos/.."),
    ("data", "link"),
    ("link", "data"),
    ("{here}/data", "data"),
    ("file://{here}/data", "data"),
    ("data", "file://{here}/link/"),
    ("local://{here}/data", "data"),
    ("data/shards", "data"),
    ("data/shards/00000.tar", "data"),
    ("link/shards/00000.tar", "data"),
    ("data/pairs/00000.parquet", "data"),
    ("data/skipped/00000.jsonl", "link"),
    ("data/manifest.json", "data"),
    ("tars", "data"),
    ("simplecache::file://{here}/data", "data"),
    ("elsewhere", "split"),
    ("data", "data/shards"),
    ("data", "data/pairs/new"),
    ("data", "link/skipped"),
    ("memory://bucket/data", "memory://bucket/data/"),
    ("memory://bucket/data/shards/00000.tar", "memory://bucket/x/../data"),
    ("memory://bucket/data/shards", "memory://bucket//data"),
]


@pytest.mark.parametrize(("source", "out"), REFUSED)
def test_what_would_be_written_over_is_refused(source: str, out: str, data: Path) -> None:
    source, out = (text.format(here=data.parent) for text in (source, out))
    with pytest.raises(ConfigError, match=r"--out .* input"):
        refuse_overlap(["other", source], out)


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("data", "data2"),
        ("data", "dat"),
        ("data/photos", "data"),
        ("data", "data/photos"),
        (".", "data"),
        ("data", "."),
        ("tars", "link2"),
        ("tars/a.tar", "tars"),
        ("org/name", "org/name"),  # a dataset on the Hub, and no folder here
        ("nosuch://x", "data"),
        ("memory://bucket/data", "memory://bucket/data2"),
        ("memory://bucket/data", "data"),
        ("memory://{here}/data", "{here}/data"),
    ],
)
def test_what_lies_beside_it_is_not(source: str, out: str, data: Path) -> None:
    refuse_overlap([source.format(here=data.parent)], out.format(here=data.parent))


def test_one_directory_shown_in_two_places_is_told_by_its_inode(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands for file systems that ignore case, and for bind mounts: two paths that no rule of text makes equal."""
    (data.parent / "DATA").mkdir()
    real = os.stat

    def stat(path: object, *args: object, **names: object) -> os.stat_result:
        return real(str(path).replace("/DATA", "/data"), *args, **names)  # type: ignore[arg-type]

    refuse_overlap(["data"], "DATA")
    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(ConfigError, match="is the input"):
        refuse_overlap(["data"], "DATA")
    with pytest.raises(ConfigError, match="input"):
        refuse_overlap(["DATA/shards"], "data")


def test_aliases_of_a_protocol_are_one() -> None:
    assert Location.of("s3a://bucket/data") == Location.of("s3://bucket/data/")


def test_a_file_to_write_is_none_that_is_read(data: Path) -> None:
    check_writable("data/preview.html", ["data"])
    check_writable("preview.html", ["data"], ["weights.pt"])
    for path in ("data/manifest.json", "link/shards/00000.tar", "data/pairs/page.html", "./data"):
        with pytest.raises(ConfigError, match="--html"):
            check_writable(path, ["data"], option="--html")
    with pytest.raises(ConfigError, match="weights"):
        check_writable("./weights.pt", [], ["weights.pt"])
    assert not (data.parent / "weights.pt").exists()


def test_a_folder_that_may_be_removed_holds_nothing_that_is_read(data: Path) -> None:
    refuse_inside(["data", "base/weights.pt"], "run")
    refuse_inside(["base"], "base/run")
    for inputs, run in (
        (["data"], "data"),
        (["data", "link/photos"], "data"),
        (["run/weights.pt"], "./run"),
        (["data"], "data/shards/run"),
    ):
        with pytest.raises(ConfigError, match="--out"):
            refuse_inside(inputs, run)


SAMPLES = {f"{number}.txt": f"Noise {number}. It is colourful.".encode() for number in range(3)}


@pytest.fixture
def ingested(tmp_path: Path) -> Path:
    from tests.factories import jpeg

    (tmp_path / "photos").mkdir()
    for number, (name, text) in enumerate(SAMPLES.items()):
        (tmp_path / "photos" / name).write_bytes(text)
        (tmp_path / "photos" / name).with_suffix(".jpg").write_bytes(jpeg(seed=number))
    result = here("ingest", "photos", "--out", "data", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (tmp_path / "pipeline.yaml").write_text(
        "stages:\n- ingest: {source: data/shards, out: data, overwrite: true}\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        "ingest data --out data --overwrite",
        "ingest data --out data",
        "ingest data/shards --out data --overwrite",
        "ingest data/shards/00000.tar --out data --overwrite",
        "ingest photos data --out data --overwrite",
        "ingest photos --exclude data --out data --overwrite",
        "ingest photos --out photos --overwrite",
        "match data --out data --overwrite --workers 0 --detector none --clip-model demo",
        "match data --out data/shards --workers 0 --detector none --clip-model demo",
        "run pipeline.yaml",
        "preview data --out data/manifest.json",
        "stats data --html data/shards/00000.tar",
        "eval demo data --out data/manifest.json",
        "eval demo data --markdown data/skipped/00000.jsonl",
    ],
)
def test_no_command_writes_over_what_it_is_about_to_read(words: str, ingested: Path) -> None:
    before = tree(ingested)
    result = here(*words.split(), cwd=ingested)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "data" in result.stderr or "photos" in result.stderr
    assert tree(ingested) == before
    assert not (ingested / "data/shards/shards").exists()


def test_an_output_inside_its_input_is_no_part_of_it(ingested: Path) -> None:
    photos = ingested / "photos"
    for _ in range(2):
        for out in ("raw", "small"):
            result = here("ingest", ".", "--out", out, "--shard-size", 2, cwd=photos)
            assert result.returncode == 0, result.stderr
            assert "3 samples in 2 shards, 0 skipped" in result.stdout
    (photos / "raw/manifest.json").unlink()
    (photos / "raw/shards/00001.json").unlink()
    assert here("ingest", ".", "--out", "raw", "--shard-size", 2, cwd=photos).returncode == 0
    raw, small = tree(photos / "raw"), tree(photos / "small")
    assert raw == small and "shards/00001.json" in raw
    assert Store(str(photos / "raw")).exists("manifest.json")
