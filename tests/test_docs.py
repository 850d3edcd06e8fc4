"""Every command in the README and in docs/ is run, in a folder that has the inputs they name."""

import ast
import io
import json
import re
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import chdir, nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from s3fs import S3FileSystem

from glitbuild.commands import COMMANDS
from glitbuild.shards.layout import schema
from glitbuild.stages.evaluate.protocols import PROTOCOLS
from tests.factories import jpeg
from tests.run import here
from tests.stages.caption.standin import StandIn
from tests.stages.evaluate.layouts import lay_out_benchmarks
from tests.stages.ingest.download.server import Server
from tests.stages.ingest.formats.layouts import PLACES, lay_out
from tests.stages.publish.hub_client import logged_in
from tests.tiny_models import save_clip, save_yolos

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = ("--ray-address", "--gpus", "NAMESPACE/NAME")
"""Parts of commands that need what a test machine lacks; their one line of error must name one of these.

Which one depends on the machine: another test's Ray may answer at the address, and have no GPUs.
"""

BUCKET = "s3://bucket"
"""Stands for one that has the matched dataset."""

IN_OTHER_TESTS = {"demo": "tests/demo/test_demo.py"}
"""Commands that are run, as they are, by a test of their own."""


def blocks(page: Path, language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.M | re.S)
    return [content for name, content in fences if name == language]


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in blocks(page, ""):
            lines = block.replace("\\\n", " ").splitlines()
            found += [
                shlex.join(shlex.split(line, comments=True)) for line in lines if line.startswith("glitbuild ")
            ]
    return [command for command in dict.fromkeys(found) if command.split()[1] not in IN_OTHER_TESTS]


@pytest.fixture(scope="module")
def pictures() -> Iterator[Server]:
    """The server that the addresses in the inputs lead to."""
    with Server([jpeg(64, 48, seed=seed) for seed in range(3)]) as server:
        yield server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a server that writes captions."""
    with StandIn() as server:
        yield server.url


@pytest.fixture(scope="module")
def inputs(
    tmp_path_factory: pytest.TempPathFactory, yolo: Path, clip_checkpoint: Path, endpoint: str, pictures: Server
) -> Path:
    """A folder with every input that the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    rows = []
    for name in ("photos", "imagefolder", "cc12m", "web", "parquet"):
        (folder / name).mkdir()
    for number in range(3):
        image = folder / "photos" / f"{number}.jpg"
        image.write_bytes(jpeg(64, 48, seed=number))
        image.with_suffix(".txt").write_text(f"Noise number {number}. It has many colours.")
        rows.append({"image": str(image.relative_to(folder)), "caption": f"Noise number {number}. Colours."})
        shutil.copy(image, folder / "imagefolder")
    jsonl = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "captions.jsonl").write_text(jsonl)
    (folder / "more.jsonl").write_text(jsonl)
    metadata = "".join(json.dumps({"file_name": f"{number}.jpg", "text": "Noise."}) + "\n" for number in range(3))
    (folder / "imagefolder" / "metadata.jsonl").write_text(metadata)
    lines = (f"{row['image']},Noise.,{number},Oslo\n" for number, row in enumerate(rows))
    (folder / "captions.csv").write_text("filename,long,views,city\n" + "".join(lines))
    examples = blocks(ROOT / "docs" / "regions.md", "json")
    for name, example in zip(("refcoco", "lvis"), examples, strict=True):
        (folder / f"{name}.jsonl").write_text(json.dumps(json.loads(example)) + "\n")
    table = {"image": [(folder / row["image"]).read_bytes() for row in rows], "caption": ["Noise."] * 3}
    pq.write_table(datasets.Dataset.from_dict(table).data.table, folder / "parquet" / "0.parquet")
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(table)}).save_to_disk(str(folder / "saved"))
    urls = [pictures.url(f"{fault}/{number}.jpg") for number, fault in enumerate(("ok", "status-503-once", "ok"))]
    table = datasets.Dataset.from_dict({"url": urls, "caption": ["Noise."] * 3})
    table.to_parquet(folder / "urls.parquet")
    table.rename_column("url", "photo").to_csv(folder / "urls.csv", index=False)
    for tar_path in (folder / "cc12m" / "00000.tar", folder / "web" / "00000.tar"):
        with tarfile.open(tar_path, "w") as tar:
            for path in sorted((folder / "photos").iterdir()):
                tar.add(path, path.name)
    for name in PLACES:
        lay_out(name, folder)
    lay_out_benchmarks(folder / "benchmarks")
    (folder / "prompt.txt").write_text("Describe this picture.")
    (folder / "yolov8n.pt").symlink_to(yolo)
    (folder / "clip.pt").symlink_to(clip_checkpoint)
    save_yolos(folder / "hustvl" / "yolos-base")
    for name in ("glit", "base"):
        save_clip(folder / "runs" / name)
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    for recipe in (folder / "pipelines").rglob("*.yaml"):
        content = yaml.safe_load(recipe.read_text())
        for stage in content["stages"]:
            if "caption" in stage:
                stage["caption"]["endpoint"] = endpoint
            if "match" in stage:
                stage["match"] |= {"clip_model": "ViT-S-32-alt", "clip_pretrained": "clip.pt", "workers": 0}
            if "train" in stage:
                small = {"model": "runs/base"} if stage["train"].pop("pretrained", None) else {}
                stage["train"] |= small | {"batch_size": 3, "epochs": 1, "loader_workers": 0}
        recipe.write_text(yaml.safe_dump(content))
    for command in (
        ["ingest", "photos", "--out", "data/raw"],
        ["ingest", "Urban1k", "--format", "urban1k", "--out", "data/urban1k"],
        ["ingest", "docci", "--format", "docci", "--split", "test", "--out", "data/docci-test"],
        ["ingest", "photos", "--no-captions", "--out", "data/images"],
        ["match", "data/raw", "--out", "data/pairs", *_local(["match"])],
        ["ingest", "captions.jsonl", "--out", "data/general"],
        ["match", "data/general", "--out", "data/general-pairs", *_local(["match"])],
        ["eval", "demo", "data/pairs", "--suite", "alignment", "--out", "alignment.json"],
        ["scenes", "--count", "2", "--out", "data/scenes"],
        ["export", "runs/glit", "--to", "exported", "--format", "hf"],
        ["export", "demo", "--to", "runs/from-demo", "--format", "open_clip"],
        ["export", "runs/glit", "--to", "exported-open-clip", "--format", "open_clip"],
    ):
        assert here(*command, cwd=folder).returncode == 0
    for name in ("target-pairs", "train-pairs", "val-pairs"):
        shutil.copytree(folder / "data" / "pairs", folder / "data" / name)
    return folder


def _local(command: list[str]) -> list[str]:
    """Return options that stand in for what can't be downloaded: weights, and for speed the workers."""
    if command[0] == "train":
        small = ["--model", "runs/base", "--pretrained", "", "--batch-size", "3", "--epochs", "1"]
        return [*small, "--loader-workers", "0"]
    if any(word.startswith("urls.") for word in command):
        return ["--allow-private-hosts", "--retry-wait", "0"]
    if command[0] != "match":
        return []
    if "demo" in command:
        return ["--workers", "0"]
    local = ["--clip-model", "ViT-S-32-alt", "--clip-pretrained", "clip.pt"]
    return local if {"--gpus", "--workers"} & set(command) else [*local, "--workers", "0"]


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_does_what_it_says(
    command: str,
    inputs: Path,
    endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(inputs, folder, symlinks=True)
    monkeypatch.setitem(PROTOCOLS, "docci/5000", replace(PROTOCOLS["docci/5000"], samples=2))
    if BUCKET in command:
        bucket = request.getfixturevalue("s3")
        S3FileSystem().put(f"{folder}/data/pairs/", f"{bucket}/pairs", recursive=True)
        command = command.replace(BUCKET, bucket)
    args = shlex.split(command)[1:]
    if args[0] == "caption":
        args[args.index("--endpoint") + 1] = endpoint
    if args[0] in ("ingest", "scenes") or {"pipelines/pairs.yaml", "pipelines/caption.yaml"} & set(args):
        for path in (folder / "data").iterdir():
            if path.name != "urban1k":  # it is what others are kept apart from
                shutil.rmtree(path)
    if args[0] in ("caption", "match", "train", "export"):
        target = args[args.index("--to" if args[0] == "export" else "--out") + 1]
        shutil.rmtree(folder / target, ignore_errors=True)
    if "NAMESPACE/NAME" in args:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # or it would try for long
    with logged_in(monkeypatch, tmp_path) if args[0] == "push" else nullcontext() as hub:
        result = here(*args, *_local(args), cwd=folder)
    if hub and "--dry-run" not in args:
        assert "verified" in result.stdout, result.stderr
        assert hub.received
    missing = [part for part in ELSEWHERE if part in args]
    if missing:
        assert result.returncode == 2, result.stderr
        assert any(part in result.stderr.splitlines()[-1] for part in missing), result.stderr
        return
    assert result.returncode == 0, result.stderr
    if args[0] in ("ingest", "caption", "match", "scenes"):
        assert "valid" in here("validate", args[args.index("--out") + 1], cwd=folder).stdout


def test_the_python_of_the_pages_runs(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    code = [block for page in PAGES for block in blocks(page, "python")]
    assert code
    for block in code:
        printed = io.StringIO()
        with chdir(inputs), redirect_stdout(printed):
            exec(compile(block, "a page", "exec"), {"__name__": "__main__"})
        assert printed.getvalue()


def test_the_page_of_the_format_is_the_schema() -> None:
    page = (ROOT / "docs" / "format.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z]\w*)` \| (.*?) \|$", page, flags=re.M))
    properties = schema("sample")["properties"]
    assert list(rows) == list(properties)
    for name, described in rows.items():
        assert described.startswith(properties[name]["description"]), name
        parts = properties[name].get("items", properties[name]).get("properties", {})
        assert re.findall(r"`(\w+)`", described) == list(parts), name


def test_the_pages_of_ingest_and_caption_list_every_reason() -> None:
    listed: list[str] = []
    for name, heading in (("ingest", "## Skipped rows"), ("caption", "## What is skipped")):
        page = (ROOT / "docs" / f"{name}.md").read_text()
        listed += re.findall(r"^\| `(\w+)` \|", page[page.index(heading) :], flags=re.M)
    assert sorted(listed) == sorted(schema("skipped")["properties"]["reason"]["enum"])


def test_the_readme_lists_every_command_and_every_link_is_there() -> None:
    readme = (ROOT / "README.md").read_text()
    assert sorted(re.findall(r"^\| `glitbuild (\w+)", readme, flags=re.M)) == sorted(COMMANDS)
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+?)(?:#[\w-]+)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def literals(folder: Path) -> set[str]:
    """Return the strings in the code of a folder, with … for the values of f-strings."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.add(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
    return found


def test_the_messages_that_are_explained_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    explained = re.findall(r"^\| `(.+?)` \| [^|]+ \| [^|]+ \|$", page, flags=re.M)
    assert len(explained) == page.count("\n| `") > 25
    known = literals(ROOT / "glitbuild")
    assert [message for message in explained if not any(message in literal for literal in known)] == []


def test_every_line_of_the_threat_model_has_a_test_that_is_there() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = [
        row for row in re.findall(r"^\| (?!---)(.+) \|$", page, flags=re.M) if "what happens | shown by" not in row
    ]
    assert len(rows) > 20
    for row in rows:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.rsplit(" | ", 1)[1])
        assert tests, row
        for path, name in tests:
            assert re.search(rf"def {name}\(", (ROOT / path).read_text()), f"{path} has no {name}"


def test_the_recipe_of_the_page_is_the_recipe() -> None:
    (shown,) = blocks(ROOT / "docs" / "pipelines.md", "yaml")
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / "pipelines" / "pairs.yaml").read_text())
