"""No terminal's encoding ends a command, whatever names and labels it shows."""

import io
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from glitbuild.cli import main
from tests.stages.evaluate.test_report import REPORT
from tests.stages.publish.page.datasets import scene, write

ENCODINGS = ["ascii", "latin-1", "cp1252", "cp437", "utf-8"]
LABEL = "caf\u00e9 \u72d7 [/b] :dog: \U0001f436"


@dataclass
class Printed:
    code: int
    out: str
    err: str


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=ENCODINGS)
def encoding(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def data(tmp_path: Path) -> str:
    made = (scene(number, [("It stirs.", 0, 0.1), ("A dog sits.", 5, 0.5)], LABEL) for number in range(3))
    return write(tmp_path / "donn\u00e9es-\u72d7", made)


def run(monkeypatch: pytest.MonkeyPatch, encoding: str, *args: object, stream: type = io.TextIOWrapper) -> Printed:
    out, err = (stream(io.BytesIO(), encoding=encoding, errors="strict", write_through=True) for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        patch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main([str(arg) for arg in args])
    # click writes UTF-8 to a stream that says it is ASCII.
    read = "utf-8" if encoding == "ascii" else encoding
    return Printed(int(end.value.code or 0), *(file.buffer.getvalue().decode(read) for file in (out, err)))


def test_stats_prints_its_tables(data: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = run(monkeypatch, encoding, "stats", data)
    assert printed.code == 0, printed.err
    spelled = LABEL.encode("utf-8" if encoding == "utf-8" else encoding, "backslashreplace").decode(encoding)
    assert spelled in printed.out
    assert ("\u2588\u2588" if encoding in ("utf-8", "cp437") else "##") in printed.out


def test_stats_shows_a_bar_on_any_terminal(data: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed = run(monkeypatch, encoding, "stats", data, "--json", stream=Terminal)
    assert printed.code == 0 and "images/s" in printed.err


def test_names_are_shown_by_every_command(
    data: str, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, recipe = tmp_path / "\u9875.html", tmp_path / "r\u00e9cipe-\u72d7.yaml"
    out = tmp_path / "sc\u00e8nes-\u72d7"
    recipe.write_text(f"stages: [{{scenes: {{count: 1, out: {out}}}}}]", encoding="utf-8")
    for args in (
        ["preview", data, "--out", page],
        ["push", data, "a/b", "--dry-run"],
        ["run", recipe],
        ["run", recipe, "--log-json"],
        ["validate", out],
    ):
        printed = run(monkeypatch, encoding, *args)
        assert printed.code == 0 and printed.out, printed.err


def test_errors_are_one_line_whatever_they_name(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = os.fsdecode(b"\xff\xfe-odd")
    for args, code in (
        (["stats", tmp_path / "\u72d7"], 2),
        (["stats", tmp_path / odd], 2),
        (["run", odd], 2),
        (["\u72d7"], 2),
        (["stats", "a", "--caf\u00e9"], 2),
    ):
        printed = run(monkeypatch, encoding, *args)
        assert printed.code == code and printed.out == ""
        assert printed.err.startswith("glitbuild: error: ") and printed.err.count("\n") == 1
        assert "unexpected" not in printed.err


def test_the_tables_of_eval_and_demo_take_any_name(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from glitbuild.demo import command as demo
    from glitbuild.demo.command import Report as Demo
    from glitbuild.stages.evaluate import report

    def print_both() -> None:
        report.print_report(replace(REPORT, model=LABEL, dataset="[/x]"))
        demo.print_report(Demo((), None, (), Path("[/page]"), Path(LABEL)))

    monkeypatch.setattr("glitbuild.cli.cli.main", lambda *_, **__: print_both())
    printed = run(monkeypatch, encoding)
    assert printed.code == 0, printed.err
    assert "[/x]" in printed.out and "[/page]" in printed.out
