import os

import pytest

from glitbuild.engine.cluster import choose_cluster
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
