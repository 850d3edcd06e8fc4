"""The command: what it refuses, what it says, and that it says nothing that is secret."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from glitbuild.shards.layout import SIZES
from tests.run import here
from tests.stages.publish.hub.folders import REPO, make_dataset
from tests.stages.publish.hub_server import Fault, Hub
from tests.stages.publish.hub_state import File, RefusedError, Repo

pytestmark = pytest.mark.slow

TOKEN = "hf_annas"


def error(*words: object, code: int = 2) -> str:
    result = here("push", *words, cwd=Path.cwd())
    assert result.returncode == code, result.stderr
    assert not result.stdout
    last = result.stderr.splitlines()[-1]
    assert last.startswith("glitbuild: error: ")
    assert "Traceback" not in result.stderr
    return last.removeprefix("glitbuild: error: ")


def test_a_dry_run_needs_no_token_and_no_network(
    hub: Hub, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    result = here("push", dataset, REPO, "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    plan, _, card = result.stdout.partition("\nREADME.md:\n\n")
    sizes = [path.stat().st_size for path in (dataset / "shards").iterdir()]
    assert f"  shards/: 7 files, {sum(sizes):,} bytes\n" in plan
    assert "16 files" in plan.splitlines()[-1]
    assert "in at most 2 commits; nothing was sent" in plan
    assert card.startswith("---\nlanguage: en\n")
    assert not hub.requests
    assert not list(tmp_path.iterdir())


def test_without_a_token_nothing_is_done(hub: Hub, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    said = error(dataset, REPO)
    assert "no token" in said
    assert "hf auth login" in said
    assert "HF_TOKEN" in said
    assert not hub.requests


def test_the_token_of_the_login_file_is_taken(hub: Hub, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    Path(constants.HF_TOKEN_PATH).write_text(TOKEN)
    assert here("push", dataset, REPO, cwd=dataset).returncode == 0


def test_a_token_that_the_hub_does_not_know(hub: Hub, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    said = error(dataset, REPO)
    assert said.startswith(f"{REPO}: the Hub doesn't accept the token (")
    assert "hf_old" not in said


def test_the_namespace_of_another(hub: Hub, dataset: Path) -> None:
    assert "ben/birds: the token may not do this" in error(dataset, "ben/birds")
    hub.repos["dataset", "ben/birds"] = Repo("dataset", "ben/birds", "ben", private=False)
    assert "you don't have write access" in error(dataset, "ben/birds")


@pytest.mark.parametrize("name", ["birds", "anna/birds/big", "anna/bi rds", "anna/birds.git", ""])
def test_a_name_that_is_none(name: str, dataset: Path) -> None:
    assert "NAMESPACE/NAME" in error(dataset, name)


def test_a_network_that_is_down_is_not_waited_for(
    hub: Hub, dataset: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "the Hub can't be reached" in error(dataset, REPO, code=1)
    assert not pauses


def test_offline(hub: Hub, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in error(dataset, REPO, code=1)


def test_what_the_hub_says_of_a_bad_card_is_passed_on(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    (tmp_path / "data" / "README.md").write_text("---\nlanguage: 5\n---\n# Mine\n")
    said = error(tmp_path / "data", REPO, code=1)
    assert "Invalid metadata in README.md" in said
    assert '"language" must be a string or a list' in said


DAMAGE: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "unfinished": (lambda data: (data / "manifest.json").unlink(), 2, "isn't finished"),
    "no file": (lambda data: (data / "pairs" / "00001.parquet").unlink(), 1, "pairs/00001.parquet: missing"),
    "cut": (lambda data: (data / "shards" / "00000.tar").write_bytes(b"x"), 1, "it has 1 bytes instead of 10,240"),
    "no sidecar": (lambda data: (data / "shards" / "00002.json").unlink(), 1, "00002.json"),
    "no sizes": (lambda data: (data / SIZES).unlink(), 1, f"{SIZES}: it is missing"),
    "another": (lambda data: shutil.rmtree(data), 2, "no such dataset directory"),
}


@pytest.mark.parametrize(("damage", "code", "says"), DAMAGE.values(), ids=DAMAGE)
def test_a_folder_that_is_not_a_whole_dataset_is_not_pushed(
    damage: Callable[[Path], object], code: int, says: str, hub: Hub, dataset: Path, tmp_path: Path
) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    damage(tmp_path / "data")
    assert says in error(tmp_path / "data", REPO, code=code)
    assert not hub.requests


def test_the_card_of_a_dataset_says_how_well_its_captions_fit(dataset: Path, tmp_path: Path) -> None:
    words = ["eval", "demo", dataset, "--out", "eval.json", "--suite"]
    assert here(*words, "alignment,retrieval", cwd=tmp_path).returncode == 0
    mean = json.loads((tmp_path / "eval.json").read_text())["suites"]["alignment"]["figures"]["captions"]
    result = here("push", dataset, REPO, "--eval", "eval.json", "--dry-run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    card = result.stdout.partition("\nREADME.md:\n\n")[2]
    assert "images under demo (`sha256:" in card
    assert f"times 100: mean {mean['cosine_mean']:.2f} (90 % from " in card
    assert "Cosine" not in here("push", dataset, REPO, "--dry-run", cwd=tmp_path).stdout


def test_metrics_of_another_dataset_or_of_a_model_are_no_datasets(dataset: Path, tmp_path: Path) -> None:
    assert "no such file" in error(dataset, REPO, "--eval", tmp_path / "eval.json", "--dry-run")
    assert here("scenes", "--count", 2, "--out", "scenes", cwd=tmp_path).returncode == 0
    for name, suite, data in (("other", "alignment", "scenes"), ("model", "retrieval", dataset)):
        words = ["eval", "demo", data, "--out", f"{name}.json", "--suite", suite]
        assert here(*words, cwd=tmp_path).returncode == 0
    assert "another dataset" in error(dataset, REPO, "--eval", tmp_path / "other.json", "--dry-run")
    assert "metrics of a model" in error(dataset, REPO, "--eval", tmp_path / "model.json", "--dry-run")
    shutil.copytree(dataset, tmp_path / "data")
    (tmp_path / "data" / "README.md").write_text("# Mine\n")
    assert here("eval", "demo", "data", "--out", "a.json", "--suite", "alignment", cwd=tmp_path).returncode == 0
    assert "is the card" in error(tmp_path / "data", REPO, "--eval", tmp_path / "a.json", "--dry-run")


def test_a_private_repository(hub: Hub, dataset: Path) -> None:
    for _ in range(2):
        assert here("push", dataset, REPO, "--private", cwd=dataset).returncode == 0
    assert hub.repos["dataset", REPO].private


def test_what_is_to_be_private_does_not_go_to_a_public_repository(hub: Hub, dataset: Path) -> None:
    hub.repos["dataset", REPO] = Repo("dataset", REPO, "anna", private=False)
    assert "it is public" in error(dataset, REPO, "--private")
    assert not hub.received


def test_a_repository_that_holds_something_else_is_left_alone(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    hub.repos["dataset", REPO] = repo = Repo("dataset", REPO, "anna", private=False)
    repo.add("main", "by hand", {"README.md": File(b"---\nlicense: mit\n---\n# Fish\n", False)})
    assert "README.md that glitbuild didn't make" in error(dataset, REPO)
    assert not hub.received
    repo.add("main", "as the website makes one", {"README.md": File(b"---\nlicense: mit\n---\n", False)})
    assert here("push", dataset, REPO, cwd=tmp_path).returncode == 0


def test_a_card_in_the_folder_is_the_card(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    card = b"---\nlicense: mit\n---\n# Written by hand\n"
    (tmp_path / "data" / "README.md").write_bytes(card)
    for _ in range(2):
        assert here("push", tmp_path / "data", REPO, cwd=tmp_path).returncode == 0
    files = hub.repos["dataset", REPO].refs["main"].files
    assert files["README.md"].content == card
    assert "samples.png" not in files


@pytest.mark.parametrize("options", [[], ["--verbose"], ["--log-json"], ["--verbose", "--create-pr"]])
def test_no_secret_is_printed(
    options: list[str],
    hub: Hub,
    pauses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make_dataset(tmp_path, 1)
    monkeypatch.setenv("GLITBUILD_DEBUG", "1")
    hub.fault = lambda kind, number: Fault(status=503) if number == 1 else Fault("after") if number == 2 else None
    result = here("push", tmp_path, REPO, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "503" in result.stderr
    said = result.stdout + result.stderr + "".join(capfd.readouterr())
    assert "X-Amz-Signature" not in said
    assert hub.signature not in said
    assert TOKEN not in said
    if "--log-json" in options:
        assert all(json.loads(line)["message"] for line in result.stderr.splitlines())
    assert logging.getLogger("huggingface_hub").handlers  # as they were


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=418), Fault()], ids=["503", "418", "drop"])
def test_no_secret_is_printed_when_it_gives_up(
    fault: Fault, hub: Hub, pauses: list[float], dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLITBUILD_DEBUG", "1")
    hub.fault = lambda kind, number: fault if kind == "put" else None
    result = here("push", dataset, REPO, "--verbose", cwd=dataset)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"glitbuild: error: {REPO}: the Hub ")
    assert "Signature" not in result.stderr
    assert hub.signature not in result.stderr
    assert TOKEN not in result.stderr


def test_a_server_that_repeats_the_token_is_not_repeated(
    hub: Hub, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeat(kind: str, number: int) -> None:
        if kind == "preupload":
            raise RefusedError(403, f"{TOKEN} may not write")

    hub.check = repeat
    said = error(dataset, REPO)
    assert "<token> may not write" in said
    assert TOKEN not in said
