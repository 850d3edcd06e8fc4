"""Real processes of Ray are killed in the middle of a run: it ends soon, in one line, and leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.ray_runner import RayRunner
from glitbuild.engine.task import ShardReport, ShardTask
from tests.engine.workers import Moody

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TASKS = [ShardTask(f"{number:05d}", "0" * 64) for number in range(2000)]
LIMIT = 60.0
"""Seconds from the death of a process to the end of the run."""


@pytest.fixture
def family() -> Iterator[Callable[[], list[psutil.Process]]]:
    """What this process started during the test, Ray's processes among it."""
    others = psutil.Process().children(recursive=True)
    yield lambda: [one for one in psutil.Process().children(recursive=True) if one not in others]


def named(name: str, family: list[psutil.Process]) -> psutil.Process:
    # Agents are told where others lie, so what a process runs is looked at first.
    found = [one for one in family if name in " ".join([one.name(), *one.cmdline()[:1]])]
    found = found or [one for one in family if name in " ".join(one.cmdline())]
    assert found, f"no {name} among {family}"
    return found[0]


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_all_of_a_local_ray_listens_on_loopback_only(
    family: Callable[[], list[psutil.Process]], tmp_path: Path
) -> None:
    with RayRunner(partial(Moody, tmp_path, {}, {}, {}), Cluster(1)) as runner:
        assert isinstance(next(runner.run(TASKS)), ShardReport)
        members = [psutil.Process(), *family()]
        kinds = " ".join(" ".join([member.name(), *member.cmdline()]) for member in members)
        assert all(kind in kinds for kind in ("raylet", "gcs_server", "_Host", "Agent"))
        listening = [
            (member.name(), socket.laddr)
            for member in members
            for socket in member.net_connections("inet")
            if socket.status == psutil.CONN_LISTEN
        ]
    assert len(listening) >= 4
    addresses = {address.ip.removeprefix("::ffff:") for _, address in listening}
    assert all(ip_address(address).is_loopback for address in addresses), listening
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ


def test_nobody_asks_a_ray_that_is_shut_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would end this process 20 s later."""
    asked: list[str] = []
    nodes = ray.nodes

    def slow_nodes() -> Any:
        asked.append("asks")
        time.sleep(2)
        there = ray.is_initialized()
        asked[-1] = "there" if there else "gone"
        return nodes() if there else []

    monkeypatch.setattr(ray, "nodes", slow_nodes)
    with RayRunner(partial(Moody, tmp_path, {}, {}, {}), Cluster(1)) as runner:
        assert isinstance(next(runner.run(TASKS)), ShardReport)
        while "asks" not in asked:
            time.sleep(0.01)
    assert asked and set(asked) == {"there"}


DRIVER = """
import sys
from functools import partial
from pathlib import Path
from glitbuild.engine.cluster import Cluster
from glitbuild.engine.ray_runner import RayRunner
from glitbuild.engine.task import ShardTask
from glitbuild.errors import ClusterError
from glitbuild.logs import tell_error
from tests.engine.workers import Moody
try:
    with RayRunner(partial(Moody, Path(sys.argv[1]), {}, {}, {}), Cluster(2)) as runner:
        for report in runner.run(ShardTask(f"{number:05d}", "0" * 64) for number in range(100_000)):
            pass
except KeyboardInterrupt:
    sys.exit(130)
except ClusterError as error:
    tell_error(f"glitbuild: error: {error}")
    sys.exit(1)
"""

IMPATIENT = {"initial_delay_ms": 0, "period_ms": 500, "timeout_ms": 500, "failure_threshold": 3}
"""How soon Ray's head gives up a node that doesn't answer."""


def started(folder: Path, **more: Any) -> subprocess.Popen[str]:
    """Start a driver, which a hanging Ray may force to leave; return when some shards are done."""
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder)], text=True, **more)
    while process.poll() is None and len(list(folder.iterdir())) < 4:
        time.sleep(0.1)
    return process


@pytest.mark.parametrize(
    ("victim", "number"),
    [
        ("gcs_server", signal.SIGKILL),
        ("RuntimeEnvAgent", signal.SIGKILL),
        # Still a process, as on a machine too busy for it to answer: the head gives its node up.
        ("/raylet/raylet", signal.SIGSTOP),
    ],
)
def test_a_run_whose_ray_is_gone_ends_and_leaves_nothing(
    victim: str, number: signal.Signals, tmp_path: Path
) -> None:
    environment = dict(os.environ)
    if number == signal.SIGSTOP:
        environment |= {f"RAY_health_check_{name}": str(value) for name, value in IMPATIENT.items()}
    with started(tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        members = psutil.Process(process.pid).children(recursive=True)
        named(victim, members).send_signal(number)
        try:
            _, said = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            for member in members:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            raise
    assert process.returncode == 1, said
    (line,) = [line for line in said.splitlines() if line.startswith("glitbuild: error: ")]
    assert "run the same command again to continue" in line
    _, left = psutil.wait_procs(members, timeout=1)
    assert [member for member in left if lives(member)] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_ray_outlives_its_driver(number: signal.Signals, tmp_path: Path) -> None:
    process = started(tmp_path)
    members = psutil.Process(process.pid).children(recursive=True)
    assert any("raylet" in member.name() for member in members)
    agents = [member for member in members if "Agent" in " ".join(member.cmdline())]
    process.send_signal(number)
    assert process.wait(LIMIT) == (130 if number == signal.SIGTERM else -number)
    if number == signal.SIGKILL:  # then Ray's agents, which hold nothing, take about a minute to notice
        members = [member for member in members if member not in agents]
    _, left = psutil.wait_procs(members, timeout=LIMIT if number == signal.SIGKILL else 1)
    alive = [member for member in left if lives(member)]
    for agent in agents:
        with contextlib.suppress(psutil.NoSuchProcess):
            agent.kill()
    for member in alive:
        member.kill()
    assert alive == []
