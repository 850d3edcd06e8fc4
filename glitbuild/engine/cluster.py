"""Where the workers run: Ray on this machine for the length of a run, or a cluster that is there."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from glitbuild.engine.lifeline import FIX, Lifeline
from glitbuild.engine.task import usable_cpus
from glitbuild.errors import ClusterError, ConfigError

SMALL_OBJECT_STORE = 100 * 2**20
"""Bytes; only tasks and reports go through Ray, samples never."""

CONNECT_SECONDS = 10.0

FATE_VARIABLES = {"RAY_gcs_rpc_server_reconnect_timeout_s": "20", "RAY_gcs_server_request_timeout_seconds": "30"}
"""So that the agents of a local Ray whose driver was killed end well within a minute: they tell its head first."""

STARTS = 3
"""Ray gives its own processes 15 to 30 s to start, and a busy machine may need more."""

THREADS_A_GPU = 8
"""They decode and crop while the GPU computes."""

MAX_DEFAULT_WORKERS = 8
"""On the CPU; each has its own copy of the models in memory."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers run.

    Attributes:
        actors: how many.
        gpus_each: GPUs of each actor: 0 or 1.
        address: of a running Ray cluster; None starts Ray on this machine for the length of the run.
    """

    actors: int
    gpus_each: int = 0
    address: str | None = None


def check_workers(workers: int | None, gpus: int | None, ray_address: str | None) -> None:
    """Check the options that say where the workers run; see ``choose_cluster``.

    Raises:
        ConfigError: one is out of range, or they contradict each other.
    """
    if gpus is not None and workers is not None:
        raise ConfigError("--gpus and --workers", "both given", "workers run on the CPU: give one of the two")
    if gpus is not None and gpus < 1:
        raise ConfigError(f"--gpus {gpus}", "too small", "give at least 1, or --workers N for the CPU")
    if workers is not None and workers < 0:
        raise ConfigError(f"--workers {workers}", "too small", "give 0 (no Ray) or more")
    if ray_address and not (gpus or workers):
        raise ConfigError(f"--ray-address {ray_address}", "how many workers?", "add --gpus N or --workers N")


def choose_cluster(
    workers: int | None, gpus: int | None = None, ray_address: str | None = None, all_here: bool = False
) -> Cluster | None:
    """Return where to run; None for this process, without Ray.

    Args:
        workers: number of CPU workers; 0 for this process.
        gpus: number of GPUs, with a worker on each.
        ray_address: cluster to join; None for this machine.
        all_here: without a number, take all GPUs of this machine or else its CPUs, rather than this process alone.

    Raises:
        ConfigError: see ``check_workers``; or there are fewer GPUs here than asked for.
    """
    check_workers(workers, gpus, ray_address)
    if workers is None and (gpus or all_here):
        import torch

        here = torch.cuda.device_count()
        if gpus and ray_address is None and here < gpus:
            raise no_gpus(gpus, here)
        if gpus or here:
            return Cluster(gpus or here, gpus_each=1, address=ray_address)
        workers = min(usable_cpus(), MAX_DEFAULT_WORKERS)
    return Cluster(workers, address=ray_address) if workers else None


@contextmanager
def connected(cluster: Cluster) -> Iterator[Lifeline]:
    """Start Ray or join a cluster, watch over it, and in the end shut it down or leave it.

    Raises:
        ConfigError: see ``connect``.
        ClusterError: same as above.
    """
    with Lifeline(local=cluster.address is None) as lifeline:
        connect(cluster, lifeline)
        yield lifeline


def connect(cluster: Cluster, lifeline: Lifeline) -> None:
    """Start Ray or join a cluster.

    Args:
        cluster: which.
        lifeline: watches over it from then on.

    Raises:
        ConfigError: nobody answers at the address; it has no GPUs, or this machine fewer than asked for.
        ClusterError: Ray doesn't start on this machine.
    """
    if cluster.address:
        _check_address(cluster.address)
    _init(cluster, lifeline)
    lifeline.watch()
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus, wanted = int(resources.get("GPU", 0)), cluster.actors * cluster.gpus_each
    if wanted and gpus < (1 if cluster.address else wanted):
        ray.shutdown()
        raise no_gpus(cluster.actors, gpus)
    if gpus < wanted:
        log.warning("%d of %d GPUs are there; workers on the others start when nodes join", gpus, wanted)


def _init(cluster: Cluster, lifeline: Lifeline) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    import ray

    if cluster.address is None:
        for attempt in range(STARTS):
            try:
                with _on_loopback():
                    ray.init(
                        "local",
                        num_cpus=cluster.actors,
                        object_store_memory=SMALL_OBJECT_STORE,
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                    )
                return
            except Exception as error:  # of any class, a plain Exception among them
                lifeline.clear()
                if attempt + 1 == STARTS:
                    fix = f"{FIX}, or use --workers 0"
                    raise ClusterError("Ray", f"it doesn't start ({error})", fix) from error
                log.debug("Ray did not start: %s", error)
    try:
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        fix = "check the address, or leave it out to run on this machine"
        raise ConfigError(f"--ray-address {cluster.address}", str(error), fix) from error


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that is started meanwhile listen on 127.0.0.1 only, all its processes.

    ``_node_ip_address`` doesn't do it: Ray turns a loopback address into one that others reach, unless
    clusters are switched off altogether, as they are on macOS.
    """
    from ray._private import ray_constants

    variables = {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0", **FATE_VARIABLES}
    before = {name: os.environ.get(name) for name in variables}
    enabled = ray_constants.ENABLE_RAY_CLUSTER
    os.environ |= variables
    ray_constants.ENABLE_RAY_CLUSTER = False  # read when Ray was imported, which may be long ago
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _check_address(address: str) -> None:
    # Ray itself would try for minutes before it says that nobody is there.
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        if address == "auto":
            return
        raise ConfigError(f"--ray-address {address}", "not an address", "give HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        fix = "check that the cluster runs, or leave it out to run on this machine"
        raise ConfigError(f"--ray-address {address}", f"nobody answers there ({error})", fix) from error


def no_gpus(asked: int, there: int) -> ConfigError:
    """Return the error for more GPUs than there are."""
    return ConfigError(f"--gpus {asked}", f"{there} GPUs are here", "ask for fewer, or use --workers N for the CPU")
