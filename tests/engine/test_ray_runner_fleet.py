"""Several nodes, with real Ray: they join and are killed in the middle, and results don't depend on any of it."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray.cluster_utils

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.runners import each_shard, running
from glitbuild.engine.task import ShardReport, ShardTask
from glitbuild.errors import DatasetError
from glitbuild.shards.manifest import ShardEntry, open_dataset, write_manifest
from glitbuild.shards.stats import collect
from glitbuild.shards.store import Store
from glitbuild.shards.validate import validate
from glitbuild.shards.writer import write_shard
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.publish.page.statistics import collect_figures
from tests.engine.workers import CentreWorker, Moody
from tests.factories import sample_with_jpeg
from tests.run import here, tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHARDS = 30


@pytest.fixture(scope="module")
def nodes() -> Iterator[ray.cluster_utils.Cluster]:
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet") / "raw"
    store, config = Store(str(folder)), {"stage": "ingest"}
    sidecars = [
        write_shard(
            store,
            f"{number:05d}",
            [sample_with_jpeg(2 * number), sample_with_jpeg(2 * number + 1)],
            config,
            partial(dict, rows=[2 * number, 2 * number + 2], sha256=""),
        )
        for number in range(SHARDS)
    ]
    write_manifest(store, sidecars, config, {})
    return folder


def add_node(nodes: ray.cluster_utils.Cluster) -> Any:
    """Add a node; Ray gives it 30 s to start, and a busy machine may need more."""
    for _ in range(2):
        with contextlib.suppress(Exception):  # a plain one is what Ray raises
            return nodes.add_node(num_cpus=1)
    return nodes.add_node(num_cpus=1)


class SlowWorker(CentreWorker):
    """Takes its time, so that a node can die meanwhile."""

    def run(self, task: ShardTask) -> ShardReport:
        time.sleep(0.3)
        return super().run(task)


def test_a_node_that_joins_later_gets_work(nodes: ray.cluster_utils.Cluster, tmp_path: Path) -> None:
    def processes() -> set[str]:
        return {path.name.rpartition("-")[2] for path in tmp_path.iterdir()}

    def until_two_work() -> Iterator[ShardTask]:
        end = time.monotonic() + 120
        while len(processes()) < 2 and time.monotonic() < end:
            yield ShardTask(f"{len(list(tmp_path.iterdir())):05d}", "")

    joined = None
    try:
        with running(partial(Moody, tmp_path, {}, {}, {}), Cluster(2, address=nodes.address)) as runner:
            for number, report in enumerate(runner.run(until_two_work())):
                assert isinstance(report, ShardReport)
                if number == 20:
                    assert len(processes()) == 1, "there is room for one only"
                    joined = add_node(nodes)
        assert len(processes()) == 2
    finally:
        if joined:
            nodes.remove_node(joined)


def test_a_node_of_three_is_killed_and_match_ends_by_itself_with_the_same_bytes(
    nodes: ray.cluster_utils.Cluster, raw: Path, tmp_path: Path
) -> None:
    others = [add_node(nodes), add_node(nodes)]
    out = tmp_path / "pairs"
    options = MatchOptions(str(raw), str(out), workers=3, ray_address=nodes.address, detector="none")
    left: list[int] = []

    def kill_one() -> None:
        while len(list(out.glob("shards/*.json"))) < 6:
            time.sleep(0.01)
        nodes.remove_node(others.pop(), allow_graceful=False)  # SIGKILL
        left.append(SHARDS - len(list(out.glob("shards/*.json"))))

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        run_match(options, build=SlowWorker)
    finally:
        killer.join()
        nodes.remove_node(others.pop())
    assert left[0] > 0, "the node died after the end"
    run_match(replace(options, out=str(tmp_path / "alone"), workers=0, ray_address=None), build=CentreWorker)
    assert tree(out) == tree(tmp_path / "alone")


@pytest.fixture(scope="module")
def pairs(raw: Path) -> Path:
    out = raw.with_name("pairs")
    run_match(MatchOptions(str(raw), str(out), workers=0, detector="none"), build=CentreWorker)
    return out


def test_what_is_counted_and_checked_is_the_same_wherever_it_is_done(
    nodes: ray.cluster_utils.Cluster, pairs: Path, tmp_path: Path
) -> None:
    cluster = Cluster(1, address=nodes.address)
    store, manifest = open_dataset(str(pairs))
    done: list[int] = []
    assert collect(store, manifest, done.append, cluster).as_dict() == collect(store, manifest).as_dict()
    assert done == [2] * SHARDS
    there, here_ = (collect_figures(store, manifest, lambda samples: None, where) for where in (cluster, None))
    for one, other in ((there.worst, here_.worst), (there.best, here_.best)):
        assert [found.sample.key for found in one.in_order()] == [found.sample.key for found in other.in_order()]
    assert list(validate(store, manifest, cluster=cluster)) == []
    tar = pairs / "shards" / "00003.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-3000])
    try:
        problems = list(validate(store, manifest))
        assert problems and list(validate(store, manifest, cluster=cluster)) == problems
        with pytest.raises(DatasetError, match=str(tar)):
            collect(store, manifest, cluster=cluster)
    finally:
        tar.write_bytes(whole)
    for command in (["stats", pairs, "--json"], ["validate", pairs]):
        spread = here(*command, "--workers", 1, "--ray-address", nodes.address, cwd=tmp_path)
        assert (spread.returncode, spread.stdout) == (0, here(*command, cwd=tmp_path).stdout), spread.stderr


def name_of(store: Store, entry: ShardEntry) -> str:
    if entry.name == "00000":
        time.sleep(0.5)
    return entry.name


def test_results_come_in_the_order_of_the_shards(nodes: ray.cluster_utils.Cluster, pairs: Path) -> None:
    node = add_node(nodes)
    try:
        store, manifest = open_dataset(str(pairs))
        with contextlib.closing(each_shard(store, manifest, name_of, Cluster(2, address=nodes.address))) as shards:
            found = [(entry.name, name) for entry, name in shards]
    finally:
        nodes.remove_node(node)
    assert found == [(f"{number:05d}",) * 2 for number in range(SHARDS)]
