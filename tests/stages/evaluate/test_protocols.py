"""Every protocol gives the numbers of an independent script that reads the corpus itself."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glitbuild.stages.evaluate.protocols import ALL, PROTOCOLS, rejoined
from tests.run import here
from tests.stages.evaluate.protocol_scripts import SCRIPTS, caption, cut_and_joined, recalls

pytestmark = pytest.mark.slow


def ingest(name: str, source: Any, tmp_path: Path) -> None:
    protocol = PROTOCOLS[name]
    sources = source if isinstance(source, list) else [source]
    words = protocol.ingest.removeprefix("glitbuild ").replace(" --out DIR", "").split()
    words.remove("SOURCE")
    result = here(*words, *sources, "--out", "data", "--shard-size", 4, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def smaller(name: str, pairs: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a protocol have as many samples as its small corpus; return the number."""
    protocol = PROTOCOLS[name]
    count = sum(len(captions) for _, captions in pairs)
    first = len(pairs) if protocol.first else None
    monkeypatch.setitem(PROTOCOLS, name, replace(protocol, samples=count, first=first))
    return count


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_numbers_are_those_of_an_independent_script(
    name: str, long_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, read = SCRIPTS[name]
    source = make(tmp_path / "corpus")
    pairs = read(source)
    ingest(name, source, tmp_path)
    count = smaller(name, pairs, monkeypatch)
    words = ["eval", long_model, "data", "--protocol", name, "--out", "report.json"]
    result = here(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["protocol"] == PROTOCOLS[name].recorded()
    assert report["dataset"]["samples"] == count
    assert report["dataset"]["images"] == len(pairs)
    figures = report["suites"]["retrieval"]["figures"]
    ks = [f"R@{k}" for k in PROTOCOLS[name].ks]
    assert list(figures["text_to_image"]) == ks
    expected = recalls(long_model, pairs, PROTOCOLS[name].ks)
    for direction, of in expected.items():
        assert figures[direction] == pytest.approx(of, abs=1e-3)
    shares = {value for of in expected.values() for value in of.values()}
    assert len(shares) > 2, "a gallery in which everything is found shows nothing"
    assert f"protocol {name}" in result.stdout


def test_the_protocols_are_those_that_papers_define() -> None:
    assert len(PROTOCOLS) == len(ALL) == 12
    for protocol in ALL:
        assert re.search(r"arXiv \d{4}\.\d{4,5}", protocol.paper)
        assert protocol.samples >= 600


def test_lotlips_text_loses_only_its_marks() -> None:
    for seed in range(200):
        assert rejoined(caption(seed)) == cut_and_joined(caption(seed))
    assert rejoined("It is 2.5 m high.\n\nA dog.</s>") == "It is 2. 5 m high. A dog"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("docci/5000", "has 5 of its 6 samples"),
        ("docci/goal-5100", "has 7 of its 8 samples"),
        ("coco/karpathy", "has no samples of coco"),
        ("dci/goal-7602", "ingested with its default caption"),
    ],
)
def test_a_dataset_that_is_not_the_protocols_is_refused(
    name: str, says: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, _ = SCRIPTS["docci/5000"]
    source = make(tmp_path / "corpus")
    result = here("ingest", source, "--format", "docci", "--out", "data", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    if name in ("docci/5000", "docci/goal-5100"):
        count = len(SCRIPTS[name][1](source)) + 1
        monkeypatch.setitem(PROTOCOLS, name, replace(PROTOCOLS[name], samples=count))
    result = here("eval", model, "data", "--protocol", name, "--out", "report.json", cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith(f"glitbuild: error: --protocol {name}: ")
    assert says in line
    assert "glitbuild ingest SOURCE" in line
    assert not (tmp_path / "report.json").exists()


def test_a_protocol_needs_the_ingested_dataset_and_is_one_of_retrieval(
    model: Path, scenes: Path, tmp_path: Path
) -> None:
    result = here("eval", model, scenes, "--protocol", "docci/5000", cwd=tmp_path)
    assert result.returncode == 2
    assert "is not an ingested dataset" in result.stderr
    result = here("eval", model, scenes, "--protocol", "docci/5000", "--suite", "joint", cwd=tmp_path)
    assert result.returncode == 2
    assert "one of retrieval" in result.stderr
