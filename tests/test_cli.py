import json
import subprocess
import sys
from pathlib import Path

import pytest

from glitbuild.commands import COMMANDS
from tests.factories import jpeg
from tests.run import done, glitbuild, here

LOCAL = ["--detector", "none", "--workers", "0"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of five pictures with captions, one of them broken."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(5):
        (photos / f"{number}.jpg").write_bytes(jpeg(seed=number) if number else b"")
        (photos / f"{number}.txt").write_text(f"A picture of noise number {number}. It has many colours.\n")
    return photos


def fails(code: int, *args: object, cwd: Path | None = None) -> str:
    # What loads models runs in this process, where torch has been imported before.
    result = here(*args, cwd=cwd or Path.cwd()) if args[0] == "match" else glitbuild(*args, cwd=cwd)
    assert result.returncode == code, result.stderr
    *log, line = result.stderr.splitlines()
    assert line.startswith("glitbuild: error: ")
    assert not any("Traceback" in text for text in log)
    assert result.stdout == ""
    return line


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example_and_the_common_options(name: str) -> None:
    help_ = done(name, "--help")
    assert f"Example: glitbuild {name} " in help_
    assert "--log-json" in help_


def test_the_list_of_commands_is_in_the_order_of_the_data_and_whole() -> None:
    lines = done("--help").split("Commands:\n")[1].splitlines()
    names = [line.split()[0] for line in lines if line]
    data = ["scenes", "ingest", "caption", "match", "train", "eval", "export", "push"]
    assert [name for name in names if name in data] == data
    assert sorted(names) == sorted(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines if line)


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "ray", "spacy", "ultralytics", "open_clip", "datasets", "pyarrow", "numpy", "PIL", "rich"}
    heavy |= {"openai"}
    code = "import sys; from glitbuild.cli import cli; cli(['--help'], standalone_mode=False);"
    code += f"print({heavy} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "set()"


@pytest.mark.slow
def test_the_pure_parts_need_neither_ray_nor_click_nor_what_only_some_detectors_use() -> None:
    code = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ray", "click", "ultralytics", "transformers", "openai"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import glitbuild.stages.match.worker, glitbuild.engine.runners, glitbuild.stages.ingest.command
stages = [f"stages.{name}" for name in ("ingest", "scenes", "evaluate", "caption", "match")]
for part in ("records", "flism", "shards", "clip", *stages):
    module = importlib.import_module(f"glitbuild.{part}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"glitbuild.{part}."):
        importlib.import_module(found.name)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_ingest_reports_validates_and_does_nothing_the_second_time(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "4 samples in 3 shards, 1 skipped" in done("ingest", folder, "--out", out, "--shard-size", 2)
    assert "valid" in done("validate", out)
    assert "nothing to do" in done("ingest", folder, "--out", out, "--shard-size", 2)
    stats = json.loads(done("stats", out, "--json"))
    assert stats["totals"] | {"bytes": 0} == {"samples": 4, "skipped": 1, "bytes": 0}
    assert stats["skipped"] == {"image_empty": 1}
    assert "image_empty" in done("stats", out)


@pytest.mark.slow
def test_the_log_is_json_where_asked(folder: Path, tmp_path: Path) -> None:
    result = glitbuild("ingest", folder, "--out", tmp_path / "out", "--log-json", "--verbose")
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert any("skipped 0.jpg" in event["message"] for event in events)
    assert all(event["level"] in ("INFO", "DEBUG") for event in events)


@pytest.mark.slow
def test_a_changed_option_or_input_is_named_and_overwrite_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done("ingest", folder, "--out", out)
    assert "shard_size was 1000 and is now 2" in fails(2, "ingest", folder, "--out", out, "--shard-size", 2)
    (folder / "1.txt").write_text("Another caption.")
    assert "another input" in fails(2, "ingest", folder, "--out", out)
    (folder / "9.jpg").write_bytes(jpeg())
    done("ingest", folder, "--out", out, "--shard-size", 2, "--overwrite")
    assert "valid" in done("validate", out)


@pytest.mark.slow
def test_a_damaged_dataset_is_not_valid(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done("ingest", folder, "--out", out)
    (out / "shards" / "stray.tar").write_bytes(b"")
    result = glitbuild("validate", out)
    assert result.returncode == 1
    assert "shards/stray.tar: not in the manifest" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("glitbuild: error: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["ingest", "{folder}", "--out", "/proc/data"], "can't be written to"),
        (["ingest", "nowhere", "--out", "{out}"], "nowhere"),
        (["ingest", "{folder}", "--out", "{out}", "--format", "xml"], "xml"),
        (["ingest", "{folder}", "--out", "{out}", "--shard-size", "0"], "--shard-size 0"),
        (["ingest", "{table}", "--out", "{out}", "--image-column", "picture"], "picture"),
        (["ingest", "{table}", "--out", "{out}", "--caption-column", "words"], "words"),
        (["ingest", "--out", "{out}"], "SOURCE"),
        (["match", "{raw}", "--out", "{out}", "--gpus", "8"], "--gpus 8"),
        (["match", "{raw}", "--out", "{out}", "--gpus", "1", "--workers", "1"], "both given"),
        (["match", "{raw}", "--out", "{out}", "--detector", "nosuch.pt", "--workers", "0"], "nosuch.pt"),
        (["match", "{raw}", "--out", "{out}", "--detector", "nosuch"], "unknown detector"),
        (["match", "{raw}", "--out", "{out}", "--detector", "./no/such.pt"], "no such file"),
        (["match", "{raw}", "--out", "{out}", "--detector", "{pickle}", "--workers", "0"], "--trust-detector"),
        (["match", "nowhere", "--out", "{out}", "--detector-sha256", "ab"], "not a SHA-256"),
        (["match", "nowhere", "--out", "{out}", "--detector", "none", "--detector-sha256", "0" * 64], "not a file"),
        (["match", "{raw}", "--out", "{out}", "--clip-model", "ViT-X-99", *LOCAL], "unknown architecture"),
        (["match", "{raw}", "--out", "{out}", "--clip-pretrained", "nosuch", *LOCAL], "neither a file nor a tag"),
        (["match", "{raw}", "--out", "{out}", "--clip-pretrained", "nosuch.pt"], "no such file"),
        (["match", "{raw}", "--out", "{out}", "--score", "2"], "--score 2.0"),
        (["match", "{raw}", "--out", "{out}", "--min-area", "0.9"], "min-area"),
        (["match", "{raw}", "--out", "{raw}"], "is the input"),
        (
            ["caption", "{folder}", "--out", "{out}", "--endpoint", "localhost", "--model", "m"],
            "--endpoint localhost",
        ),
        (["match", "{folder}", "--out", "{out}"], "not a dataset directory"),
        (["match", "nowhere", "--out", "{out}"], "no such dataset"),
        (["stats", "nowhere"], "no such dataset"),
        (["validate", "{folder}"], "not a dataset directory"),
        (["run", "{table}"], "pipeline"),
        (["run", "nowhere.yaml"], "nowhere.yaml"),
        (["ingest", "{folder}", "--out", "{out}", "--colour", "red"], "--colour"),
        (["paint"], "paint"),
    ],
)
def test_a_wrong_command_line_is_one_clear_line_before_any_work(
    args: list[str], says: str, folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "rows.jsonl"
    table.write_text(json.dumps({"image": "photos/1.jpg", "caption": "Noise."}) + "\n")
    pickle = tmp_path / "weights.pt"
    pickle.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    raw, out = tmp_path / "raw", tmp_path / "out"
    if any("{raw}" in arg for arg in args):
        done("ingest", folder, "--out", raw)
    places = {"folder": folder, "table": table, "raw": raw, "out": out, "pickle": pickle}
    line = fails(2, *(arg.format(**places) for arg in args), cwd=tmp_path)
    assert not (tmp_path / "ran").exists()
    assert says in line
    assert not out.exists() or [path for path in out.rglob("*") if path.is_file()] == []
