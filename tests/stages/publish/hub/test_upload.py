"""Pushing to a Hub on this machine, through the real client: what arrives, and what when something fails."""

import hashlib
import json
import multiprocessing
import shutil
import signal
from pathlib import Path, PurePosixPath

import fsspec
import psutil
import pytest

from glitbuild.shards.layout import SIZES, tar_path
from glitbuild.stages.publish.hub import remote
from glitbuild.stages.publish.hub.remote import Entry, chunks
from tests.run import here, tree
from tests.stages.publish.hub.folders import REPO, make_dataset, push_in_a_process
from tests.stages.publish.hub_server import Fault, Hub
from tests.stages.publish.hub_state import Commit, File, Repo

pytestmark = pytest.mark.slow

OWN = {".gitattributes", "README.md", "samples.png"}
"""What a repository has that isn't in the folder."""


def push(folder: Path | str, *options: str, repo: str = REPO) -> str:
    result = here("push", folder, repo, *options, cwd=Path.cwd())
    assert result.returncode == 0, result.stderr
    return result.stdout


def repo_of(hub: Hub, kind: str = "dataset", name: str = REPO) -> Repo:
    return hub.repos[kind, name]


def held(commit: Commit) -> dict[str, bytes]:
    return {path: file.content for path, file in commit.files.items() if path not in OWN}


def is_whole(commit: Commit) -> bool:
    """Whether what is committed is all that its manifest lists; false without a manifest."""
    if "manifest.json" not in commit.files:
        return False
    for shard in json.loads(commit.files["manifest.json"].content)["shards"]:
        assert commit.files[tar_path(shard["name"])].sha256 == shard["sha256"], commit.title
    return True


def sent_once(hub: Hub) -> bool:
    return set(hub.received.values()) == {1} and set(repo_of(hub).written.values()) == {1}


def test_the_repository_is_the_folder_with_a_card_and_a_picture(hub: Hub, dataset: Path) -> None:
    printed = push(dataset)
    repo = repo_of(hub)
    assert held(repo.refs["main"]) == tree(dataset)
    assert repo.refs["main"].files.keys() - tree(dataset).keys() == OWN
    assert f"{hub.url}/datasets/{REPO}: 16 files" in printed
    assert "16 files" in printed.partition(";")[2]
    assert "2 commits; verified" in printed
    assert sent_once(hub)
    assert repo.refs["main"].files["samples.png"].content.startswith(b"\x89PNG")


def test_a_second_push_sends_nothing(hub: Hub, dataset: Path) -> None:
    push(dataset)
    commits, received = len(repo_of(hub).commits), dict(hub.received)
    assert "all files were already there" in push(dataset)
    assert (len(repo_of(hub).commits), hub.received) == (commits, received)


def test_interrupted_three_times_every_object_is_sent_once(hub: Hub, tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", 60)

    # In the middle of an object; when one has arrived, or a commit is made, and nobody knows.
    moments = [("put", 23, "middle"), ("put", 70, "after"), ("commit", 4, "after")]
    for moment in [*moments, None]:
        interrupted = push_killed_at(hub, tmp_path / "data", moment)
        assert interrupted == (moment is not None)
        commits = repo_of(hub).commits
        assert [is_whole(commit) for commit in commits] == [False] * (len(commits) - 1) + [moment is None]
    assert sent_once(hub)
    assert held(repo_of(hub).refs["main"]) == tree(tmp_path / "data")


def test_interrupted_over_xet_only_the_group_on_its_way_is_sent_again(hub: Hub, tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", 12, padding=200_000)  # one commit of six groups
    group = 500_000
    for moment in [("xorb", 5, "after"), ("commit", 1, "instead"), None]:
        assert push_killed_at(hub, tmp_path / "data", moment, group) == (moment is not None)
    assert held(repo_of(hub).refs["main"]) == tree(tmp_path / "data")
    chunks = {hashlib.sha256(chunk).hexdigest(): len(chunk) for xorb in hub.xorbs.values() for chunk in xorb}
    assert sum(size * (hub.received[sha256] - 1) for sha256, size in chunks.items()) <= group
    assert set(repo_of(hub).written.values()) == {1}
    assert not hub.requests["put"]


def push_killed_at(hub: Hub, folder: Path, moment: tuple[str, int, str] | None, group_bytes: int = 0) -> bool:
    """Push in a process that is killed at a request; return whether it was."""

    def kill() -> None:
        (child,) = multiprocessing.active_children()
        child.kill()  # who joins it here too would take its exit code from the test
        psutil.wait_procs([psutil.Process(child.pid)] if psutil.pid_exists(child.pid) else [], timeout=10)

    def fault(kind: str, number: int) -> Fault | None:
        return Fault(moment[2], then=kill) if moment and (kind, number) == moment[:2] else None

    hub.fault = fault
    code = push_in_a_process(hub.url, str(folder), 50, group_bytes)
    assert code in (0, -signal.SIGKILL)
    return code != 0


WRITES = ["create", "preupload", "batch", "put", "verify", "yaml", "commit"]

FAULTS = {
    "a limit of rate": (Fault(status=429, headers={"Retry-After": "7"}), 8),
    "a limit of rate that says when it ends": (Fault(status=429, headers={"RateLimit": '"api";r=0;t=55'}), 56),
    "an overloaded Hub": (Fault(status=503), 1),
    "a dropped connection": (Fault(), 1),
    "a body cut in two": (Fault("middle"), 1),
    "a lost answer": (Fault("after"), 1),
}
"""What goes wrong, and how long it is waited then."""


@pytest.mark.parametrize(("fault", "pause"), FAULTS.values(), ids=FAULTS)
def test_what_fails_and_passes_is_survived(
    fault: Fault, pause: float, hub: Hub, pauses: list[float], dataset: Path
) -> None:
    hub.fault = lambda kind, number: fault if number == 1 and kind in ("tree", *WRITES) else None
    push(dataset)
    assert held(repo_of(hub).refs["main"]) == tree(dataset)
    assert [is_whole(commit) for commit in repo_of(hub).commits] == [False, False, True]
    assert set(repo_of(hub).written.values()) == {1}
    if fault.where == "after":  # the storage alone knew that the first object had arrived
        assert sum(hub.received.values()) == len(hub.received) + 1
    else:
        assert sent_once(hub)
    assert len(pauses) == len(WRITES) + 1
    assert pauses.count(pause) >= len(WRITES)  # the client hides how long it should be for the card


def test_many_failures_are_survived_where_there_is_progress_between(
    hub: Hub, pauses: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "COMMIT_FILES", 4)
    make_dataset(tmp_path, 4)
    hub.fault = lambda kind, number: Fault(status=503) if kind == "commit" and number % 4 else None
    push(tmp_path)
    assert hub.requests["commit"] == 20
    assert sent_once(hub)


def test_it_gives_up_in_the_end(hub: Hub, pauses: list[float], dataset: Path) -> None:
    hub.fault = lambda kind, number: Fault(status=503) if kind == "commit" else None
    result = here("push", dataset, REPO, cwd=dataset)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"glitbuild: error: {REPO}: the Hub is busy")
    assert sum(pauses) > 30
    hub.fault = lambda kind, number: None
    push(dataset)
    assert sent_once(hub)


def test_what_arrives_altered_is_found(hub: Hub, dataset: Path) -> None:
    def alter(kind: str, number: int) -> None:
        if (kind, number) == ("tree", 3):  # after the data, before what says that it is whole
            repo_of(hub).refs["main"].files["skipped/00001.jsonl"] = File(b"{}", False)

    hub.fault = alter
    result = here("push", dataset, REPO, cwd=dataset)
    assert result.returncode == 1
    assert "skipped/00001.jsonl did not arrive as sent; run the same command again" in result.stderr
    assert "manifest.json" not in repo_of(hub).refs["main"].files
    push(dataset)
    assert held(repo_of(hub).refs["main"]) == tree(dataset)


def test_another_version_replaces_an_earlier_one_that_was_larger(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path, 5, first=10)
    push(tmp_path)
    repo = repo_of(hub)
    files = repo.refs["main"].files | {"notes.txt": File(b"mine", False), "shards/notes.txt": File(b"mine", False)}
    files |= {PurePosixPath(SIZES).name: File(b"{}", False)}  # where glit/1 has it
    repo.add("main", "the user's own files", files)
    printed = push(dataset)
    kept = {"notes.txt": b"mine", "shards/notes.txt": b"mine"}
    assert held(repo.refs["main"]) == tree(dataset) | kept
    assert ", 8 removed; verified" in printed
    assert [is_whole(commit) for commit in repo.commits] == [False, False, True, True, False, True]


def test_an_object_of_several_parts(hub: Hub, dataset: Path) -> None:
    hub.part_size = 4000
    push(dataset)
    assert hub.requests["complete"] == 4
    assert held(repo_of(hub).refs["main"]) == tree(dataset)
    assert sent_once(hub)


def test_a_listing_of_several_pages(hub: Hub, dataset: Path) -> None:
    hub.page_size = 3
    push(dataset)
    assert "all files were already there" in push(dataset)


def test_a_dataset_that_is_not_local_is_sent_as_well(
    hub: Hub, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = fsspec.filesystem("memory")
    remote.put(str(dataset), "/push-test", recursive=True)
    try:
        push("memory://push-test")
    finally:
        remote.rm("/push-test", recursive=True)
    assert held(repo_of(hub).refs["main"]) == tree(dataset)
    assert "all files were already there" in push(dataset)


def test_a_file_that_changed_on_the_disk_is_not_sent(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    tar = tmp_path / "data" / "shards" / "00001.tar"
    content = bytearray(tar.read_bytes())
    content[-1] ^= 1
    tar.write_bytes(content)
    result = here("push", tmp_path / "data", REPO, cwd=tmp_path)
    assert result.returncode == 1
    assert "00001.tar: its content is not the one that was written (SHA-256)" in result.stderr
    assert not hub.received


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 11])
def test_commits_hold_all_files_in_order(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "COMMIT_FILES", 5)
    entries = [Entry(str(number), 120 if number == 5 else 15, "") for number in range(count)]
    found = list(chunks(entries, 100))
    assert [entry for chunk in found for entry in chunk] == entries
    sizes = {0: [], 1: [1], 4: [4], 5: [5], 6: [5, 1], 11: [5, 1, 5]}
    assert [len(chunk) for chunk in found] == sizes[count]
