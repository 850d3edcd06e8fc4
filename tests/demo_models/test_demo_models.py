"""The embedded models' files: what they hold, and what is said when one is missing or altered."""

import hashlib
import json
from pathlib import Path

import pytest

from glitbuild.clip.load import ClipSpec
from glitbuild.demo_models import CHECKSUMS, FOLDER, checksum, embedded_file, write_checksums
from glitbuild.demo_models.clip import load_demo_clip
from glitbuild.errors import ConfigError, ModelError
from glitbuild.flism.detectors.registry import DetectorSpec


def made(folder: Path) -> Path:
    (folder / "a.safetensors").write_bytes(b"weights")
    write_checksums(["a.safetensors"], folder)
    return folder


def test_a_file_that_is_whole_is_given_by_its_path(tmp_path: Path) -> None:
    assert embedded_file("a.safetensors", made(tmp_path)) == tmp_path / "a.safetensors"


def test_an_altered_file_is_named_with_what_it_should_be(tmp_path: Path) -> None:
    (made(tmp_path) / "a.safetensors").write_bytes(b"weightS")
    with pytest.raises(ModelError) as error:
        embedded_file("a.safetensors", tmp_path)
    assert str(tmp_path / "a.safetensors") in str(error.value)
    assert hashlib.sha256(b"weights").hexdigest() in str(error.value)


def test_a_missing_file_is_named_with_what_it_should_be(tmp_path: Path) -> None:
    (made(tmp_path) / "a.safetensors").unlink()
    with pytest.raises(ModelError) as error:
        embedded_file("a.safetensors", tmp_path)
    assert "missing" in str(error.value)
    assert hashlib.sha256(b"weights").hexdigest() in str(error.value)


@pytest.mark.parametrize("content", [None, "", "[]", "{}"])
def test_a_list_without_the_checksum_is_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / CHECKSUMS).write_text(content)
    with pytest.raises(ModelError, match=CHECKSUMS):
        checksum("a.safetensors", tmp_path)


def test_a_list_keeps_the_files_made_before(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "b.json").write_text("{}")
    write_checksums(["b.json"], tmp_path)
    assert set(json.loads((tmp_path / CHECKSUMS).read_text())) == {"a.safetensors", "b.json"}


def test_what_ships_is_whole_small_and_without_pickle() -> None:
    names = set(json.loads((FOLDER / CHECKSUMS).read_text()))
    for name in names:
        embedded_file(name)
    files = [path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"]
    assert {path.suffix for path in files} == {".json", ".md", ".safetensors"}
    assert {path.name for path in files if path.suffix != ".md"} == names | {CHECKSUMS}
    assert sum(path.stat().st_size for path in files) < 20e6


def test_the_models_are_known_by_their_content() -> None:
    for identity, name in (
        (ClipSpec.parse("demo").identity, "clip.safetensors"),
        (DetectorSpec.parse("demo", None).identity, "detector.safetensors"),
    ):
        assert identity == "sha256:" + hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()


def test_a_folder_of_the_same_name_is_not_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    assert DetectorSpec.parse("demo", None).spec == "demo"
    assert ClipSpec.parse("demo").model == "demo"


def test_the_embedded_clip_takes_no_other_weights() -> None:
    with pytest.raises(ConfigError, match="it has its own weights"):
        ClipSpec.parse("demo", "openai")


@pytest.mark.slow
def test_weights_that_do_not_fit_are_an_error_of_one_line(tmp_path: Path) -> None:
    for path in FOLDER.iterdir():
        if path.suffix in (".json", ".safetensors"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "glitbuild-demo.json").read_text())
    config["vision_cfg"]["layers"] += 1
    (tmp_path / "glitbuild-demo.json").write_text(json.dumps(config))
    write_checksums(["glitbuild-demo.json"], tmp_path)
    with pytest.raises(ModelError, match="don't fit"):
        load_demo_clip("cpu", tmp_path)
