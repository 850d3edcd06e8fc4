"""From a base and a run to the curve and the chosen blend."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.saved import save_model
from glitbuild.stages.blend.command import headline, run_blend
from glitbuild.stages.blend.options import BlendOptions
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.options import EvalOptions
from tests.run import here, tree
from tests.stages.evaluate.layouts import lay_out_benchmarks
from tests.stages.evaluate.models import CONFIG, save_small_clip

pytestmark = pytest.mark.slow

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a base, a run that differs from it, scenes, and benchmarks."""
    folder = tmp_path_factory.mktemp("blend")
    save_small_clip(folder / "base")
    save_small_clip(folder / "stretched", 248)
    model = ClipSpec.parse(str(folder / "stretched")).load("cpu")
    torch.manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            value += 0.3 * torch.randn_like(value) * value.abs().mean()
    save_model(folder / "run", model, CONFIG)
    result = here("scenes", "--count", 12, "--out", "scenes", cwd=folder)
    assert result.returncode == 0, result.stderr
    lay_out_benchmarks(folder / "benchmarks")
    return folder


def test_the_curve_is_evals_and_the_ends_are_the_models(world: Path, tmp_path: Path) -> None:
    words = ["blend", world / "base", world / "run", "--out", "out", "--gain", world / "scenes"]
    benchmarks = [world / "benchmarks" / name for name in ("sugarcrepe", "winoground")]
    result = here(*words, "--retain", benchmarks[0], "--retain", benchmarks[1], "--most-loss", 100, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "out" / "blend.json").read_text())
    assert [point["alpha"] for point in found["points"]] == [0, 0.25, 0.5, 0.75, 1]
    for number, model in ((0, world / "stretched"), (4, world / "run")):
        point = found["points"][number]
        reports = [run_eval(EvalOptions(str(model), str(data))) for data in (world / "scenes", *benchmarks)]
        assert point["gains"] == {"scenes": pytest.approx(headline(reports[0]))}
        expected = {
            data.name: pytest.approx(headline(each)) for data, each in zip(benchmarks, reports[1:], strict=True)
        }
        assert point["retained"] == expected
    gains = [point["gain"] for point in found["points"]]
    assert found["alpha"] == found["points"][gains.index(max(gains))]["alpha"]
    assert any(point["pareto"] for point in found["points"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "blend.json",
        "curve.png",
        "open_clip_config.json",
        WEIGHTS,
    ]
    assert f"alpha {found['alpha']:g}" in result.stdout.splitlines()[-1]
    same = here(*words, "--retain", benchmarks[0], "--retain", benchmarks[1], "--most-loss", 100, cwd=tmp_path)
    assert same.stdout.splitlines()[:-1] == result.stdout.splitlines()[:-1]
    again = here("eval", "out", world / "scenes", "--suite", "retrieval", cwd=tmp_path)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(("alpha", "model"), [(0, "stretched"), (1, "run")])
def test_an_end_is_the_model_bit_for_bit(alpha: int, model: str, world: Path, tmp_path: Path) -> None:
    done = run_blend(BlendOptions(str(world / "base"), str(world / "run"), str(tmp_path / "out"), alpha=alpha))
    assert done.points == ()
    found, known = load_file(tmp_path / "out" / WEIGHTS), load_file(world / model / WEIGHTS)
    assert found.keys() == known.keys()
    for name, value in known.items():
        assert torch.equal(found[name], value), name


def test_an_interrupted_command_goes_on_where_it_was(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glitbuild.stages.blend import command

    calls = []

    def stops(options: EvalOptions, plain: bool) -> object:
        calls.append(options.model)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return run_eval(options, plain)

    options = BlendOptions(
        str(world / "base"),
        str(world / "run"),
        str(tmp_path / "out"),
        gain=[str(world / "scenes")],
        retain=[str(world / "benchmarks" / "sugarcrepe")],
        alphas=[0.5],
    )
    monkeypatch.setattr(command, "run_eval", stops)
    with pytest.raises(KeyboardInterrupt):
        run_blend(options)
    assert not (tmp_path / "out" / "blend.json").exists()
    done = run_blend(options)  # alpha 0 is measured already
    assert len(calls) == 4 + 2
    assert [point.alpha for point in done.points] == [0, 0.5]
    monkeypatch.undo()
    assert run_blend(BlendOptions(**{**_fields(options), "out": str(tmp_path / "other")})).points == done.points


def _fields(options: BlendOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in ("base", "run", "out", "gain", "retain", "alphas")}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no alpha can be chosen"),
        (["--gain", "{world}/scenes"], "no alpha can be chosen"),
        (["--alpha", "1.5"], "--alpha 1.5"),
        (["--gain", "{world}/scenes", "--retain", "{world}/scenes"], "given twice"),
        (["--gain", "{world}/scenes", "--alpha", "1", "--alphas", "0,x"], "--alphas 0,x"),
        (["--gain", "{world}/scenes", "--alpha", "1", "--alphas", "0,1.5"], "--alphas 0,1.5"),
        (["--gain", "nowhere", "--alpha", "1"], "no such dataset"),
        (["--alpha", "1", "--out", "{world}/run"], "contains the model run"),
        (["--alpha", "1", "--out", "{world}/scenes"], "blend doesn't write"),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(
    words: list[str], says: str, world: Path, tmp_path: Path
) -> None:
    before = tree(world)
    given = [word.format(world=world) for word in words]
    result = here("blend", world / "base", world / "run", "--out", "out", *given, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert re.search(says, result.stderr.splitlines()[-1]), result.stderr
    assert tree(world) == before


def test_a_finished_blend_is_replaced_only_on_request(world: Path, tmp_path: Path) -> None:
    words = ["blend", world / "base", world / "run", "--out", "out", "--alpha"]
    assert here(*words, 0.5, cwd=tmp_path).returncode == 0
    before = tree(tmp_path)
    assert "nothing to do" in here(*words, 0.5, cwd=tmp_path).stdout
    assert tree(tmp_path) == before
    result = here(*words, 1, cwd=tmp_path)
    assert result.returncode == 2
    assert "--overwrite" in result.stderr
    assert tree(tmp_path) == before
    assert here(*words, 1, "--overwrite", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "out" / "blend.json").read_text())["alpha"] == 1
