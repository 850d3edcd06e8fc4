"""The command, as users run it."""

import shutil
from pathlib import Path

import pytest

from glitbuild.errors import ExportError
from glitbuild.stages.export import transformers as hf
from glitbuild.stages.export.command import ExportOptions, run_export
from tests.run import here, tree

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("format", "file"), [("hf", "config.json"), ("open_clip", "open_clip_config.json")])
def test_the_command_writes_and_says_what(format: str, file: str, runs: Path, tmp_path: Path) -> None:
    args = ["export", runs / "quick-gelu", "--to", "exported", "--format", format]
    result = here(*args, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("exported: 248 tokens, ")
    assert [path.name for path in tmp_path.iterdir()] == ["exported"]
    first = tree(tmp_path)
    assert f"exported/{file}" in first
    again = here(*args, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "not empty" in again.stderr
    assert here(*args, "--overwrite", cwd=tmp_path).returncode == 0
    assert tree(tmp_path) == first


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nowhere", "--to", "out", "--format", "hf"], "nowhere: there is no such folder"),
        (["empty", "--to", "out", "--format", "hf"], "empty: it contains no model"),
        (["ViT-B-32", "--to", "out", "--format", "hf"], "ViT-B-32: there is no such folder"),
        (["run", "--to", "out", "--format", "onnx"], "onnx"),
        (["run", "--to", "out"], "--format"),
        (["run", "--to", "s3://bucket/out", "--format", "hf"], "not a local folder"),
        (["run", "--to", "out\udcff", "--format", "hf"], "its name is not valid UTF-8"),
        (["run", "--to", "run", "--format", "hf", "--overwrite"], "contains the source"),
        (["run", "--to", ".", "--format", "hf"], "contains the source"),
        (["damaged", "--to", "out", "--format", "hf"], "damaged"),
        (["damaged", "--to", "new/deep/out", "--format", "open_clip"], "damaged"),
        (["run", "--to", "run/log.txt/out", "--format", "open_clip"], "can't be written to"),
        (["run", "--to", "mine", "--format", "open_clip", "--overwrite"], "thesis.txt"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line_and_nothing_is_written(
    args: list[str], says: str, runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "quick-gelu", tmp_path / "run")
    shutil.copytree(runs / "quick-gelu", tmp_path / "damaged")
    (tmp_path / "damaged" / "open_clip_model.safetensors").write_bytes(b"half")
    (tmp_path / "empty").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    (tmp_path / "run" / "log.txt").touch()
    before, names = tree(tmp_path), sorted(tmp_path.rglob("*"))
    result = here("export", *args, cwd=tmp_path)
    line = result.stderr.splitlines()[-1]
    assert (result.returncode, result.stdout) == (2, "")
    assert line.startswith("glitbuild: error: ")
    assert says in line
    assert tree(tmp_path) == before
    assert sorted(tmp_path.rglob("*")) == names, "no empty folders either"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("visual_projection.weight", "embeddings of images differ"),
        ("text_model.encoder.layers.1.mlp.fc1.weight", "embeddings of texts differ"),
    ],
)
def test_an_export_that_is_not_the_model_fails_and_is_gone(
    name: str, says: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = hf.renamed
    monkeypatch.setattr(hf, "renamed", lambda state: (found := right(state)) | {name: -found[name]})
    with pytest.raises(ExportError, match=says):
        run_export(ExportOptions(str(runs / "quick-gelu"), str(tmp_path / "out" / "hf"), "hf"))
    assert list(tmp_path.iterdir()) == []


def test_a_weight_that_is_missing_is_named(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = hf.renamed
    kept = "text_projection.weight"
    monkeypatch.setattr(hf, "renamed", lambda state: {n: value for n, value in right(state).items() if n != kept})
    with pytest.raises(ExportError, match=kept):
        run_export(ExportOptions(str(runs / "quick-gelu"), str(tmp_path / "out"), "hf"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_transformers_can_not_read_is_an_error(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "save_image_processor", lambda folder, config: None)
    with pytest.raises(ExportError, match="can't be read back"):
        run_export(ExportOptions(str(runs / "quick-gelu"), str(tmp_path / "out"), "hf"))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path, length: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hf, "save_tokenizer", interrupted)
    result = here("export", runs / "quick-gelu", "--to", "out/hf", "--format", "hf", cwd=tmp_path)
    assert result.returncode == 130
    assert list(tmp_path.iterdir()) == []
