import re
from pathlib import Path
from typing import Any

import fsspec
import pytest

from glitbuild.errors import ConfigError, DatasetError
from glitbuild.records import ImageInfo
from glitbuild.stages.publish.page import preview
from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview
from tests.factories import sample_with_jpeg
from tests.run import here
from tests.stages.publish.page.datasets import scene, write

TWO = [("A dog sits.", 5, 0.25), ("It is quiet.", 0, 0.125)]


def page_of(folder: Path, data: str, **options: Any) -> bytes:
    out = folder / "page.html"
    run_preview(PreviewOptions(data, str(out), **options))
    return out.read_bytes()


def keys(page: bytes) -> list[int]:
    return [int(key) for key in re.findall(rb"Sample </span>(\d+)", page)]


def test_the_command_writes_one_file_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "data", [scene(number, TWO) for number in range(3)])
    result = here("preview", "data", "--out", "new/page.html", "--samples", 2, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "2 of 3 samples" in result.stdout
    assert result.stdout.endswith("Open new/page.html\n")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["page.html"]


def test_the_same_bytes_every_time_and_a_seed_draws_others(tmp_path: Path) -> None:
    data = write(tmp_path / "data", [scene(number, TWO) for number in range(12)], [scene(12, TWO)])
    first = page_of(tmp_path, data, samples=4)
    assert first == page_of(tmp_path, data, samples=4)
    assert keys(first) == [0, 3, 6, 9]
    assert len(keys(page_of(tmp_path, data, samples=4, seed=1))) == 4
    assert len({tuple(keys(page_of(tmp_path, data, samples=4, seed=seed))) for seed in range(4)}) > 1
    assert keys(page_of(tmp_path, data)) == list(range(13))


def test_a_page_is_never_larger_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = write(tmp_path / "data", [scene(number, TWO, size=5) for number in range(4)])
    first = page_of(tmp_path, data)
    whole, texts = len(first), len(re.sub(rb"data:image/[^\"]*", b"", first))
    monkeypatch.setattr(preview, "MOST_BYTES", whole // 2)
    caplog.set_level("INFO")
    page = page_of(tmp_path, data)
    assert whole // 3 < len(page) <= whole // 2
    assert "4 images were shrunk" in caplog.text
    for most, says in ((texts + 3000, "too many for one page"), (500, "captions alone")):
        monkeypatch.setattr(preview, "MOST_BYTES", most)
        with pytest.raises(ConfigError, match=says):
            page_of(tmp_path, data)


def test_a_dataset_that_is_not_matched_has_captions(tmp_path: Path) -> None:
    data = write(tmp_path / "data", map(sample_with_jpeg, range(3)), stage="ingest")
    page = page_of(tmp_path, data).decode()
    assert page.count('<p class="caption" dir="auto">A dog sits. A red ball lies on the left.</p>') == 3
    assert 'class="sentence' not in page and "best pair" not in re.sub(r"<script>.*</script>", "", page, flags=re.S)


def test_an_empty_dataset_has_an_empty_page(tmp_path: Path) -> None:
    assert keys(page_of(tmp_path, write(tmp_path / "data", []))) == []


def test_it_reads_and_writes_where_fsspec_does(tmp_path: Path) -> None:
    write(tmp_path / "data", [scene(0, TWO)])
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "data"), "/page-data", recursive=True)
    run_preview(PreviewOptions("memory://page-data", "memory://page-out/page.html"))
    assert keys(memory.cat_file("/page-out/page.html")) == [0]
    assert memory.ls("/page-out", detail=False) == ["/page-out/page.html"]


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    sample, _ = sample_with_jpeg(7)
    data = write(tmp_path / "data", [(sample, b"no picture")], stage="ingest")
    with pytest.raises(DatasetError, match="sample 000000007"):
        page_of(tmp_path, data)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--samples", "0"], "--samples 0"),
        (["--max-side", "9"], "--max-side 9"),
        (["--seed", "-1"], "--seed -1"),
        (["--out", "/proc/page.html"], "can't be written to"),
    ],
)
def test_wrong_options_are_one_line(args: list[str], says: str, tmp_path: Path) -> None:
    write(tmp_path / "data", [scene(0, TWO)])
    result = here("preview", "data", "--out", "page.html", *args, cwd=tmp_path)
    assert result.returncode == 2
    assert says in result.stderr.splitlines()[-1]
    assert not (tmp_path / "page.html").exists()


def test_the_size_in_the_page_is_that_of_the_stored_image(tmp_path: Path) -> None:
    sample, jpeg = scene(0, TWO, size=5)
    page = page_of(tmp_path, write(tmp_path / "data", [(sample, jpeg)]), max_side=64)
    assert isinstance(sample.image, ImageInfo)
    assert b'viewBox="0 0 600 450"' in page
    assert b'x="50.0" y="20.0" width="202.5" height="50.0"' in page
