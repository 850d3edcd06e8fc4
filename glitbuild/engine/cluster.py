"""Choosing where workers run and connecting to Ray: on this machine for one run, or in an existing cluster."""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

from glitbuild.engine.lifeline import FIX, Lifeline
from glitbuild.engine.task import usable_cpus
from glitbuild.errors import ClusterError, ConfigError

SMALL_OBJECT_STORE = 100 * 2**20
"""In bytes; only tasks and reports go through Ray, never samples."""

CONNECT_SECONDS = 10.0

FATE_VARIABLES = {"RAY_gcs_rpc_server_reconnect_timeout_s": "20", "RAY_gcs_server_request_timeout_seconds": "30"}
"""Shorter timeouts, so that the agents of a local Ray end within a minute if its driver was killed."""

STARTS = 3
"""Attempts to start Ray, which gives its own processes 15 to 30 s; a busy machine may need longer."""

THREADS_A_GPU = 8
"""Threads per GPU that decode and crop images while the GPU computes."""

MAX_DEFAULT_WORKERS = 8
"""Most CPU workers by default, because each has its own copy of the models in memory."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the workers run.

    Attributes:
        actors: number of actors.
        gpus_each: number of GPUs per actor, 0 or 1.
        address: address of a running Ray cluster; None starts Ray on this machine for the duration of the run.
    """

    actors: int
    gpus_each: int = 0
    address: str | None = None


def check_workers(workers: int | None, gpus: int | None, ray_address: str | None) -> None:
    """Check the options that say where the workers run; see ``choose_cluster``.

    Raises:
        ConfigError: an option is out of range, or options contradict each other.
    """
    if gpus is not None and workers is not None:
        raise ConfigError(
            "--gpus and --workers", "both given", "give only one of them: --workers is for CPU workers"
        )
    if gpus is not None and gpus < 1:
        raise ConfigError(f"--gpus {gpus}", "too small", "give at least 1, or --workers N for the CPU")
    if workers is not None and workers < 0:
        raise ConfigError(f"--workers {workers}", "too small", "give 0 (no Ray) or more")
    if ray_address and not (gpus or workers):
        raise ConfigError(
            f"--ray-address {ray_address}", "the number of workers is missing", "add --gpus N or --workers N"
        )


def choose_cluster(
    workers: int | None,
    gpus: int | None = None,
    ray_address: str | None = None,
    all_here: bool = False,
    tasks: int | None = None,
) -> Cluster | None:
    """Return the cluster to run on; None for this process, without Ray.

    Args:
        workers: number of CPU workers; 0 for this process.
        gpus: number of GPUs, with one worker each.
        ray_address: address of the cluster to join; None for this machine.
        all_here: whether to use, if no number is given, all GPUs of this machine or else its CPUs instead of only
            this process.
        tasks: number of tasks, if it is known: more CPUs than that are not used by default, and for a single task
            no Ray is started.

    Raises:
        ConfigError: see ``check_workers``; or this machine has fewer GPUs than requested.
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
        if tasks is not None and tasks <= workers:
            workers = tasks if tasks > 1 else 0
    return Cluster(workers, address=ray_address) if workers else None


@contextmanager
def connected(cluster: Cluster) -> Iterator[Lifeline]:
    """Start Ray or join a cluster, monitor it, and finally shut it down or leave it.

    Meanwhile ``sys.stdout`` is stderr: Ray prints there when one of its processes dies, also without
    ``log_to_driver``, and commands promise results only on their stdout.

    Raises:
        ConfigError: see ``connect``.
        ClusterError: see ``connect``.
    """
    with redirect_stdout(sys.stderr), Lifeline(local=cluster.address is None) as lifeline:
        connect(cluster, lifeline)
        yield lifeline


def connect(cluster: Cluster, lifeline: Lifeline) -> None:
    """Start Ray or join a cluster.

    Args:
        cluster: cluster to start or join.
        lifeline: monitor that watches the cluster from then on.

    Raises:
        ConfigError: the address can't be reached; the cluster has no GPUs, or this machine fewer than requested.
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
        log.warning("%d of %d GPUs are available; the other workers start when nodes join", gpus, wanted)


def _init(cluster: Cluster, lifeline: Lifeline) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage statistics are sent
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
            except Exception as error:  # Ray raises errors of any class, including plain Exception
                lifeline.clear()
                if attempt + 1 == STARTS:
                    fix = f"{FIX}, or use --workers 0"
                    raise ClusterError("Ray", f"it did not start ({error})", fix) from error
                log.debug("Ray did not start: %s", error)
    try:
        ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        fix = "check the address, or omit it to run on this machine"
        raise ConfigError(f"--ray-address {cluster.address}", str(error), fix) from error


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Make all processes of a Ray that is started in the block listen on 127.0.0.1 only.

    ``_node_ip_address`` is not enough: Ray replaces a loopback address by one that is reachable from outside,
    unless clusters are disabled altogether, as they are on macOS.
    """
    from ray._private import ray_constants

    variables = {ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0", **FATE_VARIABLES}
    before = {name: os.environ.get(name) for name in variables}
    enabled = ray_constants.ENABLE_RAY_CLUSTER
    os.environ |= variables
    ray_constants.ENABLE_RAY_CLUSTER = False  # Ray reads the variable only when it is imported
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _check_address(address: str) -> None:
    # Ray itself would retry for minutes before it reports that the address can't be reached.
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        if address == "auto":
            return
        raise ConfigError(f"--ray-address {address}", "not an address", "give HOST:PORT, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        fix = "check that the cluster is running, or omit the option to run on this machine"
        raise ConfigError(f"--ray-address {address}", f"can't connect ({error})", fix) from error


def no_gpus(asked: int, there: int) -> ConfigError:
    """Return the error for requesting more GPUs than there are."""
    return ConfigError(f"--gpus {asked}", f"{there} GPUs are here", "give fewer, or use --workers N for the CPU")
