import json
from contextlib import redirect_stdout
from io import StringIO

from glitbuild.stages.evaluate.command import Report
from glitbuild.stages.evaluate.metrics import SuiteReport
from glitbuild.stages.evaluate.report import as_json, as_markdown, print_report

REPORT = Report(
    model="runs/[one]",
    identity="sha256:0",
    context_length=77,
    dataset="data",
    manifest="sha256:1",
    samples=5100,
    images=1020,
    truncated=12,
    suites={
        "robustness": SuiteReport(
            {"text_to_image": {"R@1": 58.53, "drop_low": 8.0}, "mean": {"R@1": 7.0}}, {"unchanged_captions": 3}
        )
    },
    device="cpu",
    seed=1,
    seconds=2.5,
    versions={"torch": "2"},
)


def test_json_holds_all_but_the_hits() -> None:
    found = json.loads(as_json(REPORT))
    assert found["schema"] == "glit-eval/1"
    assert found["model"] == {"name": "runs/[one]", "identity": "sha256:0", "context_length": 77}
    assert found["dataset"]["images"] == 1020
    figures = {"text_to_image": {"R@1": 58.53, "drop_low": 8.0}, "mean": {"R@1": 7.0}}
    assert found["suites"] == {"robustness": {"figures": figures, "unchanged_captions": 3}}


def test_markdown_is_a_table_with_a_cell_for_every_column() -> None:
    text = as_markdown(REPORT)
    assert "runs/[one] on data: 5,100 captions, 1,020 images, 12 captions truncated at 77 tokens" in text
    assert (
        "|  | R@1 | drop low |\n| --- | ---: | ---: |\n| text to image | 58.53 | 8.00 |\n| mean | 7.00 |  |" in text
    )
    assert "unchanged captions: 3" in text


def test_the_terminal_shows_it_too() -> None:
    with redirect_stdout(StringIO()) as shown:
        print_report(REPORT)
    assert "runs/[one] on data" in shown.getvalue()
    assert "58.53" in shown.getvalue() and "drop low" in shown.getvalue()
