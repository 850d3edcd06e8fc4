"""Models side by side: the metrics are eval's, the intervals those of the paired bootstrap."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from glitbuild.errors import ConfigError
from glitbuild.stages.evaluate.command import run_eval
from glitbuild.stages.evaluate.compare import Data, Model, by_group, run_compare
from glitbuild.stages.evaluate.metrics import paired_bootstrap
from glitbuild.stages.evaluate.options import CompareOptions, EvalOptions
from tests.clip.transformers_models import save_siglip
from tests.run import here

pytestmark = pytest.mark.slow


def test_metrics_and_intervals_are_those_of_eval(scenes: Path, model: Path, tmp_path: Path) -> None:
    words = ["compare", f"small={model}", "demo", "--data", scenes, "--out", "c.json", "--markdown", "c.md"]
    result = here(*words, "--latex", "c.tex", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "c.json").read_text())
    reports = [run_eval(EvalOptions(str(one), str(scenes))) for one in (model, "demo")]
    assert [entry["label"] for entry in found["models"]] == ["small", "demo"]
    figures = {(metric["suite"], metric["row"], metric["column"]): metric["values"] for metric in found["metrics"]}
    assert figures == {
        (suite, row, column): {"small": value, "demo": reports[1].suites[suite].figures[row][column]}
        for suite, of in reports[0].suites.items()
        for row, columns in of.figures.items()
        for column, value in columns.items()
    }
    checked = 0
    for metric in found["metrics"]:
        scores = [report.suites[metric["suite"]].scores.get(metric["row"], {}) for report in reports]
        difference = metric["differences"]["demo"]
        if metric["column"] not in scores[0]:
            assert difference is None
            continue
        expected = paired_bootstrap(*(one[metric["column"]] for one in scores), seed=0)
        assert difference == {
            "difference": pytest.approx(100 * expected.difference),
            "low": pytest.approx(100 * expected.low),
            "high": pytest.approx(100 * expected.high),
        }
        values = metric["values"]
        assert difference["difference"] == pytest.approx(values["demo"] - values["small"], abs=1e-3)
        checked += difference["low"] > 0
    assert checked, "the demo model is not better than a random one"
    markdown = (tmp_path / "c.md").read_text()
    assert "| small | demo |" in markdown
    assert re.search(r"\[\+\d+\.\d\d, \+\d+\.\d\d\]\*", markdown)
    assert "text to image R@1" in result.stdout


def test_the_latex_table_is_whole(scenes: Path, model: Path, tmp_path: Path) -> None:
    words = [
        "compare",
        f"100%_A&B={model}",
        "demo",
        "--data",
        scenes,
        "--suite",
        "retrieval,localization,averaging",
    ]
    assert here(*words, "--latex", "c.tex", cwd=tmp_path).returncode == 0
    lines = (tmp_path / "c.tex").read_text().splitlines()
    columns = len(re.search(r"\{l(r+)\}", lines[1])[1])  # type: ignore[index]
    assert columns == 12 + 3 + 4
    rows = [line for line in lines if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows[1:]] == [columns] * 3
    assert sum(int(width) for width in re.findall(r"multicolumn\{(\d+)\}", rows[0])) == columns
    assert rows[2].startswith(r"100\%\_A\&B & ")
    assert r"\textbf{" in rows[3] and r"$^\dagger$" in rows[3]
    assert lines[-1] == r"\end{tabular}"


def test_captions_of_one_image_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(300), rng.integers(1, 9, 300))
    image = rng.random(300)[groups]
    before = (rng.random(len(groups)) < image).astype(float)
    after = (rng.random(len(groups)) < np.clip(image + rng.normal(0, 0.4, 300)[groups], 0, 1)).astype(float)
    one, other = by_group(before, groups), by_group(after, groups)
    assert len(one) == 300
    assert one.mean() == pytest.approx(before.mean())
    grouped, flat = paired_bootstrap(one, other), paired_bootstrap(before, after)
    assert grouped.difference == pytest.approx(flat.difference)
    assert grouped.high - grouped.low > 1.2 * (flat.high - flat.low)
    assert by_group(before, None) is not before
    assert np.array_equal(by_group(before, None), before)


def test_a_suite_that_one_model_lacks_is_empty_for_it(scenes: Path, tmp_path: Path) -> None:
    save_siglip(tmp_path / "naflex", second=True)
    words = ["compare", "demo", "naflex", "--data", scenes, "--markdown", "c.md", "--out", "c.json"]
    result = here(*words, "--suite", "localization", cwd=tmp_path)
    assert result.returncode == 2  # it was asked for
    result = here(*words, "--latex", "c.tex", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "c.json").read_text())["metrics"]
    located = [metric for metric in found if metric["suite"] == "localization"]
    assert located
    assert {metric["values"]["naflex"] for metric in located} == {None}
    assert "naflex on data: localization is omitted" in (tmp_path / "c.md").read_text()
    assert "--" in (tmp_path / "c.tex").read_text()


def test_models_and_data_are_named(tmp_path: Path) -> None:
    (tmp_path / "a=b@c").mkdir()
    assert Model.parse(str(tmp_path / "a=b@c")) == Model("a=b@c", str(tmp_path / "a=b@c"), None)
    assert Model.parse("ViT-B-16@openai") == Model("ViT-B-16@openai", "ViT-B-16", "openai")
    assert Model.parse("base=ViT-B-16@w.pt") == Model("base", "ViT-B-16", "w.pt")
    assert Model.parse("demo") == Model("demo", "demo", None)
    assert Data.parse("docci/5000=data/docci") == Data("docci/5000", "data/docci", "docci/5000")
    assert Data.parse("data/docci") == Data("docci", "data/docci", None)


@pytest.mark.parametrize(
    ("models", "data", "more", "says"),
    [
        (["demo", "demo"], ["{scenes}"], {}, "LABEL=MODEL"),
        (["demo"], ["{scenes}", "{scenes}"], {}, "give each once"),
        ([], ["{scenes}"], {}, "none is given"),
        (["demo"], [], {}, "none is given"),
        (["demo"], ["nowhere"], {}, "no such dataset"),
        (["demo"], ["docci/5000={scenes}"], {}, "not an ingested dataset"),
        (["demo"], ["{scenes}"], {"out": "/proc/x.json"}, "can't be written to"),
        (["demo"], ["{scenes}"], {"suite": "painting"}, "unknown suite"),
    ],
)
def test_what_is_wrong_is_named(
    models: list[str], data: list[str], more: dict[str, str], says: str, scenes: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        run_compare(CompareOptions(models, [one.format(scenes=scenes) for one in data], **more))  # type: ignore[arg-type]
