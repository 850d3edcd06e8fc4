from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glitbuild.cli import make_command
from glitbuild.errors import ConfigError
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.options import SUITES, EvalOptions, Plan, make_plan


def dataset(folder: Path, stage: str, samples: int = 3) -> tuple[Store, Manifest]:
    if stage == "scenes":
        (folder / "truth").mkdir()
        (folder / "truth" / "00000.jsonl").write_bytes(b"")
    return Store(str(folder)), Manifest({}, {"stage": stage}, {"samples": samples}, {}, ())


@pytest.mark.parametrize(
    ("stage", "suites", "places", "pairs"),
    [
        ("ingest", ("retrieval", "robustness", "averaging"), "", ""),
        ("scenes", ("retrieval", "localization", "robustness", "averaging"), "truth", ""),
        ("match", SUITES[:5], "best pairs", "best"),
    ],
)
def test_without_a_choice_the_suites_are_those_that_the_dataset_can_serve(
    stage: str, suites: tuple[str, ...], places: str, pairs: str, tmp_path: Path
) -> None:
    assert make_plan(EvalOptions("m", "d"), *dataset(tmp_path, stage)) == Plan(suites, places, pairs, may_omit=True)


def test_given_boxes_have_a_suite_of_their_own_and_alignment_is_only_named(tmp_path: Path) -> None:
    store, manifest = dataset(tmp_path, "ingest")
    marked = replace(manifest, totals=manifest.totals | {"boxes": 4})
    suites = make_plan(EvalOptions("m", "d"), store, marked).suites
    assert suites == ("retrieval", "robustness", "averaging", "regions")
    plan = make_plan(EvalOptions("m", "d", suite="alignment"), store, marked)
    assert plan.suites == ("alignment",)
    assert not plan.needs_boxes


def test_a_suite_is_run_once_and_only_what_it_needs_is_computed(tmp_path: Path) -> None:
    options = EvalOptions("m", "d", suite="joint, retrieval,joint", joint_pairs="all")
    plan = make_plan(options, *dataset(tmp_path, "match"))
    assert plan == Plan(("joint", "retrieval"), "", "all")
    assert not plan.needs_sentences


@pytest.mark.parametrize(("stage", "suite"), [("ingest", "joint"), ("ingest", "localization"), ("scenes", "joint")])
def test_a_suite_that_needs_pairs_says_where_they_come_from(stage: str, suite: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"--suite {suite}: .* needs pairs.* run glitbuild match {tmp_path}"):
        make_plan(EvalOptions("m", "d", suite=suite), *dataset(tmp_path, stage))


def test_a_dataset_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no samples"):
        make_plan(EvalOptions("m", "d"), *dataset(tmp_path, "ingest", samples=0))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"suite": "retrieval,painting"},
            "--suite painting: unknown suite; give one or more of retrieval, localization",
        ),
        ({"suite": ","}, "unknown suite"),
        ({"context_length": 7}, "--context-length 7"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"seed": -1}, "--seed -1"),
        ({"device": "tpu"}, "--device tpu"),
        ({"joint_pairs": "some"}, "--joint-pairs some"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        EvalOptions("m", "d", **options)


def test_the_options_are_those_of_the_command() -> None:
    params = make_command("eval").make_context("eval", ["m", "d"]).params
    assert not params.pop("log_json") and not params.pop("verbose")
    assert EvalOptions(**params) == EvalOptions("m", "d")
