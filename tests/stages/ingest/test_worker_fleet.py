"""A node of three is killed while real Ray workers download and write; the dataset must not show it."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray.cluster_utils

from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.run import tree
from tests.stages.ingest.conftest import encode_image
from tests.stages.ingest.download.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHARDS, ROWS, SIZE = 40, 157, 4
"""The last shard is shorter."""


@pytest.fixture
def nodes() -> Iterator[ray.cluster_utils.Cluster]:
    cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield cluster
    cluster.shutdown()


@pytest.fixture
def server() -> Iterator[Server]:
    pictures = [encode_image(size=(24 + number, 16), color=(200, 30, 30)) for number in range(ROWS - 20)]
    with Server(pictures) as running:  # the last twenty rows get pictures of the first
        running.delay = 0.3  # so that a node can die in the middle
        yield running


def test_a_node_of_three_is_killed_and_ingest_ends_by_itself_with_the_same_bytes(
    nodes: ray.cluster_utils.Cluster, server: Server, tmp_path: Path
) -> None:
    rows = [{"url": server.url(f"ok/{number}.jpg"), "caption": f"Picture {number}."} for number in range(ROWS)]
    rows[50]["caption"] = ""
    table, out, alone = tmp_path / "rows.jsonl", tmp_path / "fleet", tmp_path / "alone"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    here = IngestOptions(
        source=(str(table),), out=str(alone), shard_size=SIZE, connections=2, allow_private_hosts=True
    )
    others = [nodes.add_node(num_cpus=1), nodes.add_node(num_cpus=1)]
    left: list[int] = []

    def kill_one() -> None:
        while len(list(out.glob("shards/*.json"))) < 8:
            time.sleep(0.01)
        nodes.remove_node(others.pop(), allow_graceful=False)  # SIGKILL
        left.append(SHARDS - len(list(out.glob("shards/*.json"))))

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    try:
        result = run_ingest(replace(here, out=str(out), workers=3, ray_address=nodes.address))
    finally:
        killer.join(60)
        nodes.remove_node(others.pop())
    assert left and left[0] > 0, "the node died after the end"
    assert (result.manifest.totals["samples"], result.manifest.totals["skipped"]) == (ROWS - 21, 21)
    server.delay = 0.0
    run_ingest(here)
    assert tree(out) == tree(alone)
