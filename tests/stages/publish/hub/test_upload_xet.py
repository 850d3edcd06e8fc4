"""Pushing over Xet, the storage that the client takes by default, through the real client and its hf_xet."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.run import here, tree
from tests.stages.publish.hub.folders import REPO
from tests.stages.publish.hub_server import Fault, Hub
from tests.stages.publish.hub_state import RefusedError, Repo

pytestmark = pytest.mark.slow


def test_the_repository_is_the_folder_and_everything_is_sent_once(xet: Hub, dataset: Path) -> None:
    result = here("push", dataset, REPO, "--verbose", cwd=dataset)
    assert result.returncode == 0, result.stderr
    repo = xet.repos["dataset", REPO]
    files = {path: file.content for path, file in repo.refs["main"].files.items()}
    assert tree(dataset).items() <= files.items()
    assert set(xet.received.values()) == set(repo.written.values()) == {1}
    assert xet.requests["xorb"]
    assert not xet.requests["put"]
    assert xet.signature not in result.stdout + result.stderr
    assert "all files were already there" in here("push", dataset, REPO, cwd=dataset).stdout


def test_a_pull_request(xet: Hub, dataset: Path) -> None:
    name = "ben/birds"
    xet.repos["dataset", name] = repo = Repo("dataset", name, "ben", private=False)
    result = here("push", dataset, name, "--create-pr", cwd=dataset)
    assert result.returncode == 0, result.stderr
    assert set(repo.refs["main"].files) == {".gitattributes"}
    assert tree(dataset).keys() <= repo.refs["refs/pr/1"].files.keys()


@pytest.mark.parametrize("fault", [Fault(status=503), Fault("middle")], ids=["503", "cut"])
def test_what_fails_and_passes_is_survived(fault: Fault, xet: Hub, dataset: Path) -> None:
    xet.fault = lambda kind, number: fault if number == 1 and kind in ("token", "xorb", "shard") else None
    result = here("push", dataset, REPO, cwd=dataset)
    assert result.returncode == 0, result.stderr
    assert set(xet.received.values()) == {1}


def test_a_refusal_is_one_line_without_secrets(xet: Hub, dataset: Path) -> None:
    def refuse(kind: str, number: int) -> None:
        if kind == "xorb":
            raise RefusedError(403, "the storage is full")

    xet.check = refuse
    result = here("push", dataset, REPO, cwd=dataset)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"glitbuild: error: {REPO}: the token may not do this (")
    assert "403" in result.stderr
    assert xet.requests["xorb"] == 1
    assert xet.signature not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("disabled", [False, True], ids=["xet", "lfs"])
def test_a_file_that_changes_during_the_push_is_not_committed(
    disabled: bool, xet: Hub, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", disabled)
    shutil.copytree(dataset, tmp_path / "data")
    tar = tmp_path / "data" / "shards" / "00001.tar"

    def change(kind: str, number: int) -> None:
        if kind == "create":  # after all files have been checked
            content = tar.read_bytes()
            tar.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    xet.check = change
    result = here("push", tmp_path / "data", REPO, cwd=tmp_path)
    assert result.returncode == 1
    assert "00001.tar: its content is not the one that was written (SHA-256)" in result.stderr
    assert set(xet.repos["dataset", REPO].refs["main"].files) == {".gitattributes"}
