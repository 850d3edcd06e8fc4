"""The command, from a dataset and a model's folder to files and tables."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glitbuild.stages.evaluate.command import Report, run_eval
from glitbuild.stages.evaluate.metrics import paired_bootstrap
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.evaluate.worker import EvalWorker
from tests.clip.transformers_models import save_siglip
from tests.run import here
from tests.stages.evaluate.models import save_small_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs(scenes: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pairs") / "pairs"
    words = ["match", scenes, "--out", out, "--workers", 0, "--detector", "none", "--clip-model", model]
    result = here(*words, cwd=out.parent)
    assert result.returncode == 0, result.stderr
    return out


def test_scenes_are_evaluated_against_their_truth(scenes: Path, model: Path, tmp_path: Path) -> None:
    words = ["eval", model, scenes, "--out", "new/figures.json", "--markdown", "figures.md", "--device", "cpu"]
    first = here(*words, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    found = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert list(found["suites"]) == ["retrieval", "localization", "robustness", "averaging"]
    assert found["dataset"] | {"manifest": ""} == {
        "name": scenes.name,
        "manifest": "",
        "samples": 8,
        "images": 8,
        "truncated_captions": found["dataset"]["truncated_captions"],
    }
    assert found["model"]["name"] == model.name
    assert found["model"]["identity"].startswith("sha256:")
    assert str(model.parent) not in json.dumps(found) + first.stdout, "where they lie is nobody else's business"
    assert found["model"]["context_length"] == 248
    assert found["suites"]["localization"]["places"] == "truth"
    assert found["suites"]["retrieval"]["figures"]["text_to_image"]["R@10"] == 100
    assert "│ text to image" in first.stdout and "### robustness" in (tmp_path / "figures.md").read_text()
    again = here(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    second = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert second | {"seconds": 0} == found | {"seconds": 0}
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["figures.json", "figures.md"]


def test_siglip_takes_part_in_every_suite_that_its_towers_serve(scenes: Path, pairs: Path, tmp_path: Path) -> None:
    save_siglip(tmp_path / "siglip")
    save_siglip(tmp_path / "naflex", second=True)
    all_suites = ["retrieval", "localization", "robustness", "joint", "averaging"]
    for model, suites in (
        ("siglip", all_suites),
        ("naflex", [name for name in all_suites if name != "localization"]),
    ):
        words = ["eval", model, pairs, "--out", "report.json", "--markdown", "report.md"]
        result = here(*words, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        report = json.loads((tmp_path / "report.json").read_text())
        assert list(report["suites"]) == suites
        assert report["model"]["context_length"] == 12
        assert report["dataset"]["truncated_captions"] == 8
        assert ("omitted" in report) == (model == "naflex")
    assert "NaFlex" in report["omitted"]["localization"]
    for said in (result.stdout, (tmp_path / "report.md").read_text()):
        assert "localization is omitted: the number of its patches" in said
    result = here(*words, "--suite", "localization", cwd=tmp_path)
    assert result.returncode == 2
    assert "naflex: the number of its patches" in result.stderr.splitlines()[-1]


def test_the_cache_keeps_what_a_model_reads_and_omits(scenes: Path, tmp_path: Path) -> None:
    save_siglip(tmp_path / "naflex", second=True)
    reports = []
    for _ in range(2):
        words = ["eval", "naflex", scenes, "--out", "report.json", "--cache", "cache"]
        result = here(*words, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        reports.append(json.loads((tmp_path / "report.json").read_text()) | {"seconds": 0})
    assert reports[0] == reports[1]
    assert reports[0]["omitted"]


def test_pairs_serve_all_suites(pairs: Path, model: Path, long_model: Path, tmp_path: Path) -> None:
    assert json.loads((pairs / "manifest.json").read_text())["config"]["clip_model"] == model.name
    for one, more in ((long_model, []), (model, ["--joint-pairs", "all", "--context-length", 77])):
        result = here("eval", one, pairs, "--out", "figures.json", *more, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        found = json.loads((tmp_path / "figures.json").read_text())
        assert list(found["suites"]) == ["retrieval", "localization", "robustness", "joint", "averaging"]
        assert found["suites"]["localization"]["places"] == "best pairs"
        assert found["suites"]["joint"]["pairs"] == ("all" if more else "best")
    assert found["dataset"]["truncated_captions"] == 8
    assert found["suites"]["joint"]["sentences"] > 60


def test_one_suite_computes_no_other_and_two_models_can_be_compared(
    scenes: Path, model: Path, long_model: Path
) -> None:
    options = EvalOptions(str(model), str(scenes), suite="retrieval", device="cpu")
    one = run_eval(options)
    two = run_eval(EvalOptions(str(long_model), str(scenes), suite="retrieval", device="cpu"))
    assert list(one.suites) == ["retrieval"]
    hits = [report.suites["retrieval"].scores["text_to_image"]["R@1"] for report in (one, two)]
    assert np.array_equal(*hits)  # the first is stretched as the second was
    assert paired_bootstrap(*hits).high == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["{model}", "{scenes}", "--suite", "painting"], 2, "unknown suite"),
        (["{model}", "{scenes}", "--suite", "joint"], 2, "run glitbuild match"),
        (["{model}", "{scenes}", "--context-length", "7"], 2, "--context-length 7"),
        (["{model}", "{scenes}", "--pretrained", "openai"], 2, "it has its own weights"),
        (["{model}", "{scenes}", "--out", "/proc/x.json"], 2, "can't be written to"),
        (["{model}", "nowhere"], 2, "no such dataset"),
        (["ViT-X-99", "{scenes}"], 2, "error: MODEL ViT-X-99: unknown architecture"),
        (["ViT-B-16", "{scenes}", "--pretrained", "no.pt"], 2, "error: --pretrained no.pt: no such file"),
        (["RN50", "{scenes}", "--pretrained", "nosuch"], 2, "neither a file nor a tag"),
        (["{broken}", "{scenes}", "--out", "figures.json"], 1, "8 of 8 contain a NaN"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_no_file(
    words: list[str], code: int, says: str, scenes: Path, model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    if "{broken}" in words:
        save_small_clip(broken, broken=True)
    work = tmp_path / "work"
    work.mkdir()
    words = [word.format(model=model, scenes=scenes, broken=broken) for word in words]
    result = here("eval", *words, cwd=work)
    assert result.returncode == code, result.stderr
    assert says in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["NOSUCH", "scenes"], "NOSUCH"),
        (["model", "nowhere"], "nowhere: no such dataset directory"),
        (["model", "scenes", "--suite", "joint"], "--suite joint"),
        (["model", "scenes", "--suite", "retreival"], "--suite retreival"),
        (["model", "scenes", "--device", "tpu"], "--device tpu"),
        (["model", "scenes", "--batch-size", 0], "--batch-size 0"),
        (["model", "scenes", "--pretrained", "openai"], "it has its own weights"),
        (["ViT-B-32", "scenes", "--pretrained", "no/such.pt"], "no such file"),
        (["RN50", "scenes", "--pretrained", "nosuchtag"], "nosuchtag"),
        (["damaged", "scenes"], "damaged"),
        (["model", "scenes", "--markdown", "new/folder/figures.json"], "the same file"),
        (["model", "scenes", "--markdown", "file/figures.md"], "can't be written to"),
    ],
)
def test_a_wrong_command_line_writes_nothing(
    args: list[object], says: str, scenes: Path, model: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes, tmp_path / "scenes")
    for name in ("model", "damaged"):
        shutil.copytree(model, tmp_path / name)
    (tmp_path / "damaged" / "open_clip_model.safetensors").write_bytes(b"half")
    (tmp_path / "file").write_text("not a folder")
    before = sorted(tmp_path.rglob("*"))
    result = here("eval", *args, "--out", "new/folder/figures.json", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    assert says in result.stderr.splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


def figures(report: Report) -> dict[str, object]:
    return {name: (suite.figures, suite.facts) for name, suite in report.suites.items()}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards and texts that a model has embedded since."""
    embedded: list[str] = []
    run = EvalWorker.run
    monkeypatch.setattr(EvalWorker, "run", lambda worker, task: embedded.append(task.shard) or run(worker, task))
    return embedded


def test_a_grown_dataset_costs_the_shards_that_changed(
    model: Path, tmp_path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glitbuild.stages.evaluate.command.TEXTS_AT_A_TIME", 3)
    pairs = tmp_path / "pairs"
    cached = EvalOptions(str(model), str(pairs), device="cpu", cache=str(tmp_path / "cache"))

    def grown(count: int) -> None:
        scenes = ["scenes", "--count", count, "--out", "scenes", "--shard-size", 3, "--overwrite"]
        match = ["match", "scenes", "--out", "pairs", "--workers", 0, "--detector", "none", "--clip-model", model]
        for words in (scenes, match):
            result = here(*words, cwd=tmp_path)
            assert result.returncode == 0, result.stderr

    grown(5)
    first = run_eval(cached)
    assert counted[:2] == ["00000", "00001"] and len(counted) == 4
    counted.clear()
    assert figures(run_eval(cached)) == figures(first)
    assert counted == ["of texts 0", "of texts 3"], "false sentences depend on the whole dataset"
    grown(8)
    counted.clear()
    again = run_eval(cached)
    assert counted[:2] == ["00001", "00002"]
    assert figures(again) == figures(run_eval(replace(cached, cache=None)))
    for changes in ({"context_length": 77}, {"joint_pairs": "all"}, {"batch_size": 2}, {"suite": "localization"}):
        counted.clear()
        run_eval(replace(cached, **changes))
        assert counted[:3] == ["00000", "00001", "00002"], changes


def test_damaged_embeddings_are_made_again_and_the_cache_is_bounded(
    pairs: Path, model: Path, tmp_path: Path, counted: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    options = EvalOptions(str(model), str(pairs), suite="retrieval", device="cpu", cache=str(tmp_path / "cache"))
    expected = figures(run_eval(options))
    files = sorted((tmp_path / "cache" / "embeddings").iterdir())
    assert len(files) == 3
    data = bytearray(files[0].read_bytes())
    data[-1] ^= 1
    files[0].write_bytes(data)
    files[1].write_bytes(b"")
    counted.clear()
    assert figures(run_eval(options)) == expected
    assert len(counted) == 2
    size = sum(path.stat().st_size for path in files)
    run_eval(replace(options, context_length=77, cache_size=size / 1e9))
    assert not set(files) & set((tmp_path / "cache" / "embeddings").iterdir()), "others make room"
    assert figures(run_eval(replace(options, cache_size=size / 2e9))) == expected
    assert any("--cache-size" in message for message in caplog.messages)
    assert sum(path.stat().st_size for path in (tmp_path / "cache" / "embeddings").iterdir()) <= size / 2


def test_workers_find_the_same(pairs: Path, model: Path) -> None:
    options = EvalOptions(str(model), str(pairs))
    assert figures(run_eval(replace(options, workers=2))) == figures(run_eval(replace(options, device="cpu")))


def test_a_damaged_shard_is_named_wherever_it_is_read(pairs: Path, model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(pairs, tmp_path / "pairs")
    tar = copy / "shards" / "00001.tar"
    tar.write_bytes(tar.read_bytes()[:-3000])
    for workers in (0, 1):
        result = here("eval", model, copy, "--workers", workers, "--suite", "retrieval", cwd=tmp_path)
        assert (result.returncode, result.stdout) == (1, "")
        assert str(tar) in result.stderr.splitlines()[-1]
