"""``--create-pr``: everything goes to one pull request, also when it is interrupted."""

from pathlib import Path

import pytest

from glitbuild.stages.publish.hub import remote
from tests.run import here, tree
from tests.stages.publish.hub.folders import REPO
from tests.stages.publish.hub_server import Fault, Hub
from tests.stages.publish.hub_state import Repo

pytestmark = pytest.mark.slow


@pytest.fixture
def repo(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository of somebody else."""
    monkeypatch.setattr(remote, "COMMIT_FILES", 5)
    name = "ben/birds"
    hub.repos["dataset", name] = Repo("dataset", name, "ben", private=False)
    return hub.repos["dataset", name]


def test_one_pull_request_gets_all_commits(hub: Hub, repo: Repo, dataset: Path) -> None:
    result = here("push", dataset, repo.name, "--create-pr", cwd=dataset)
    assert result.returncode == 0, result.stderr
    assert f"{hub.url}/datasets/ben/birds/discussions/1: 16 files" in result.stdout
    assert set(repo.refs["main"].files) == {".gitattributes"}
    sent = {path: file.content for path, file in repo.refs["refs/pr/1"].files.items()}
    assert tree(dataset).items() <= sent.items()
    assert [each["status"] for each in repo.discussions] == ["open"]
    assert hub.requests["commit"] == 4
    assert set(hub.received.values()) == {1}


def test_it_is_a_draft_until_all_is_there_and_is_found_again(
    hub: Hub, repo: Repo, dataset: Path, pauses: list[float]
) -> None:
    command = ["push", dataset, repo.name, "--create-pr", "--message", "Add birds"]
    repo.discuss("Add birds", "ben", is_pull_request=True)  # not hers
    hub.fault = lambda kind, number: Fault(status=503) if kind == "commit" and number > 2 else None
    assert here(*command, cwd=dataset).returncode == 1
    assert [each["status"] for each in repo.discussions] == ["draft", "draft"]
    hub.fault = lambda kind, number: None
    assert here(*command, cwd=dataset).returncode == 0
    assert [each["status"] for each in repo.discussions] == ["draft", "open"]
    assert set(hub.received.values()) == {1}
    assert set(repo.written.values()) == {1}
    assert "all files were already there" in here(*command, cwd=dataset).stdout
    assert len(repo.discussions) == 2


def test_a_lost_answer_makes_no_second_pull_request(
    hub: Hub, repo: Repo, dataset: Path, pauses: list[float]
) -> None:
    lost = {("discussions", 2), ("status", 1)}  # the first looks for one
    hub.fault = lambda kind, number: Fault("after") if (kind, number) in lost else None
    assert here("push", dataset, repo.name, "--create-pr", cwd=dataset).returncode == 0
    assert [each["status"] for each in repo.discussions] == ["open"]


def test_where_nothing_is_lacking_there_is_no_pull_request(hub: Hub, dataset: Path) -> None:
    assert here("push", dataset, REPO, cwd=dataset).returncode == 0
    assert "all files were already there" in here("push", dataset, REPO, "--create-pr", cwd=dataset).stdout
    assert not hub.repos["dataset", REPO].discussions
