"""The runners, with real Ray actors that really die."""

import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import ray
import ray.cluster_utils

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.ray_runner import MAX_TRIES, RayRunner
from glitbuild.engine.runners import LocalRunner, running
from glitbuild.engine.task import BuildWorker, ShardFailure, ShardReport, ShardTask, done
from glitbuild.errors import ConfigError, DatasetError, GlitbuildError, ModelError, ShardFailedError
from tests.engine.workers import DiesAtStart, Moody, no_model

pytestmark = pytest.mark.slow

TASKS = [ShardTask(f"{number:05d}", "0" * 64) for number in range(8)]
Runner = RayRunner | LocalRunner


@pytest.fixture(scope="module")
def nodes() -> Iterator[ray.cluster_utils.Cluster]:
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield cluster
    cluster.shutdown()


@pytest.fixture(params=["ray", "local"])
def runner(request: pytest.FixtureRequest) -> Callable[[BuildWorker], Runner]:
    if request.param == "local":
        return LocalRunner
    address = request.getfixturevalue("nodes").address
    return lambda build: RayRunner(build, Cluster(2, address=address))


def run(runner: Runner, tasks: list[ShardTask] = TASKS) -> list[ShardReport | ShardFailure]:
    with runner:
        return sorted(runner.run(iter(tasks)), key=lambda report: report.shard)


def test_dead_and_broken_workers_cost_their_shard_and_not_the_run(
    nodes: ray.cluster_utils.Cluster, tmp_path: Path
) -> None:
    build = partial(
        Moody, tmp_path, dies={"00002": 1, "00005": MAX_TRIES}, raises={"00003": 2}, damaged={"00006": 9}
    )
    reports = run(RayRunner(build, Cluster(2, address=nodes.address)))
    failed = {report.shard: report.reason for report in reports if isinstance(report, ShardFailure)}
    assert [report.shard for report in reports] == [task.shard for task in TASKS]
    assert set(failed) == {"00005", "00006"}
    assert "died" in failed["00005"]
    assert failed["00006"] == "00006: damaged; mend it"
    tries = {task.shard: list(tmp_path.glob(f"{task.shard}-*")) for task in TASKS}
    assert {shard: len(files) for shard, files in tries.items() if len(files) > 1} == {
        "00002": 2,
        "00003": 3,
        "00005": MAX_TRIES,
        "00006": MAX_TRIES,
    }
    processes = {path.name.rpartition("-")[2] for path in tries["00003"]}
    assert len(processes) == 3, "after an unforeseen error the process is not used again"


def test_workers_that_die_while_they_start_are_replaced(nodes: ray.cluster_utils.Cluster, tmp_path: Path) -> None:
    build = DiesAtStart(tmp_path, times=2)
    assert len(run(RayRunner(build, Cluster(2, address=nodes.address)))) == len(TASKS)


def test_workers_that_never_start_end_the_run(nodes: ray.cluster_utils.Cluster, tmp_path: Path) -> None:
    build = DiesAtStart(tmp_path, times=999)
    with pytest.raises(GlitbuildError, match="die while loading"):
        run(RayRunner(build, Cluster(1, address=nodes.address)))


def test_a_dead_node_costs_the_shard_it_held(nodes: ray.cluster_utils.Cluster, tmp_path: Path) -> None:
    node = nodes.add_node(num_cpus=1)
    reports = []
    with RayRunner(partial(Moody, tmp_path, {}, {}, {}), Cluster(3, address=nodes.address)) as runner:
        for report in runner.run(TASKS * 20):
            reports.append(report)
            if len(reports) == 5:
                nodes.remove_node(node, allow_graceful=False)
    assert len(reports) == 20 * len(TASKS)
    assert all(isinstance(report, ShardReport) for report in reports)


@dataclass(frozen=True)
class Text:
    """A task of another kind than the package's own."""

    shard: str
    text: str


class Together:
    """Ends a task once so many are under way at a time; dies where the task says so."""

    def __init__(self, folder: Path, parties: int) -> None:
        self._folder, self._barrier = folder, threading.Barrier(parties)

    def run(self, task: Text) -> str:
        (self._folder / f"{task.shard}-{uuid.uuid4()}").touch()
        first = len(list(self._folder.glob(f"{task.shard}-*"))) == 1
        if task.text == "dies" or (task.text == "dies once" and first):
            time.sleep(0.5)  # while the others are under way
            os._exit(1)
        self._barrier.wait(timeout=60)
        return task.text.upper()


def test_tasks_of_any_kind_overlap_in_a_worker_and_are_drawn_when_there_is_room(
    nodes: ray.cluster_utils.Cluster, tmp_path: Path
) -> None:
    for cluster in (None, Cluster(1, address=nodes.address)):
        drawn: list[str] = []
        tasks = (drawn.append(f"{number}") or Text(f"{number:05d}", f"text {number}") for number in range(12))
        found = []
        with running(partial(Together, tmp_path, 3), cluster, slots=3) as runner:
            for report in done(runner.run(tasks)):
                found.append(report)
                assert len(drawn) <= len(found) + 3
        assert sorted(found) == sorted(f"TEXT {number}" for number in range(12))


def test_a_dead_worker_costs_all_it_held_once_and_the_guilty_task_is_found(
    nodes: ray.cluster_utils.Cluster, tmp_path: Path
) -> None:
    words = {0: "dies once", 5: "dies"}
    tasks = [Text(f"{number:05d}", words.get(number, "lives")) for number in range(9)]
    with running(partial(Together, tmp_path, 1), Cluster(1, address=nodes.address), slots=3) as runner:
        reports = list(runner.run(tasks))
    failed = [report.shard for report in reports if isinstance(report, ShardFailure)]
    assert failed == ["00005"]
    assert sorted(report for report in reports if isinstance(report, str)) == ["DIES ONCE", *["LIVES"] * 7]


def test_an_error_of_a_thread_or_of_who_reads_ends_a_local_run(tmp_path: Path) -> None:
    class Leaves:
        def run(self, task: Text) -> str:
            sys.exit(3)

    with pytest.raises(SystemExit), running(Leaves, None, slots=2) as runner:
        list(runner.run([Text("00000", "")]))


def test_failures_are_one_error_in_the_end_or_their_own_at_once(tmp_path: Path) -> None:
    with LocalRunner(partial(Moody, tmp_path, {}, {"00001": 9}, {"00002": 9})) as runner:
        found = []
        with pytest.raises(
            ShardFailedError, match=r"2 of 8 failed \(00001, 00002\); the first: RuntimeError: CUDA"
        ):
            found += done(runner.run(TASKS))
        with pytest.raises(DatasetError, match="00002: damaged; mend it"):
            list(done(runner.run(TASKS[2:]), at_once=True))


def test_a_model_that_cannot_be_had_is_known_before_any_work(runner: Callable[[BuildWorker], Runner]) -> None:
    with pytest.raises(ModelError, match="neither a file nor a tag"):
        run(runner(no_model))


def test_no_tasks_no_reports(runner: Callable[[BuildWorker], Runner], tmp_path: Path) -> None:
    assert run(runner(partial(Moody, tmp_path, {}, {}, {})), []) == []


def test_more_gpus_than_the_cluster_has_is_a_configuration_error(
    nodes: ray.cluster_utils.Cluster, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--gpus 64"):
        run(RayRunner(partial(Moody, tmp_path, {}, {}, {}), Cluster(64, gpus_each=1, address=nodes.address)))


@pytest.mark.parametrize("address", ["127.0.0.1:1", "somewhere"])
def test_no_cluster_at_the_address_is_a_configuration_error(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ray-address"):
        run(RayRunner(partial(Moody, tmp_path, {}, {}, {}), Cluster(1, address=address)))


def test_the_local_runner_goes_on_after_a_failure(tmp_path: Path) -> None:
    reports = run(LocalRunner(partial(Moody, tmp_path, {}, {"00001": 9}, {"00002": 9})))
    failed = [report.shard for report in reports if isinstance(report, ShardFailure)]
    assert failed == ["00001", "00002"]
    assert len(reports) == len(TASKS)
