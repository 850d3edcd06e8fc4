import os

import pytest
import torch

from glitbuild.engine.cluster import Cluster, choose_cluster
from glitbuild.engine.task import usable_cpus


def test_the_affinity_counts_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert usable_cpus() == 3


@pytest.mark.parametrize(("there", "usable"), [(6, 6), (None, 1)])
def test_without_an_affinity_all_count(there: int | None, usable: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: there)
    assert usable_cpus() == usable
    cluster = choose_cluster(None, all_here=True)
    assert cluster and (cluster.gpus_each or cluster.actors == usable)


@pytest.mark.parametrize(("tasks", "actors"), [(None, 8), (100, 8), (8, 8), (3, 3), (2, 2), (1, None), (0, None)])
def test_no_more_cpus_are_used_than_there_are_tasks(
    tasks: int | None, actors: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    cluster = choose_cluster(None, all_here=True, tasks=tasks)
    assert (cluster and cluster.actors) == actors
    assert choose_cluster(2, tasks=tasks) == Cluster(2)  # what is asked for is used
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert choose_cluster(None, all_here=True, tasks=tasks) == Cluster(4, gpus_each=1)
