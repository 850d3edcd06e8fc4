"""Where the workers run: Ray on this machine for the length of a run, or a cluster that is there."""

import logging
import os
import socket
from dataclasses import dataclass

from glitbuild.engine.options import MatchOptions
from glitbuild.errors import ConfigError

SMALL_OBJECT_STORE = 100 * 2**20
"""Bytes; only tasks and reports go through Ray, samples never."""

CONNECT_SECONDS = 10.0

MAX_DEFAULT_WORKERS = 8
"""On the CPU; each has its own copy of the models in memory."""


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


def choose_cluster(options: MatchOptions) -> Cluster | None:
    """Return where to run: GPUs if asked for or found, else CPU workers; None for this process, without Ray.

    Raises:
        ConfigError: there are fewer GPUs here than asked for, or it isn't said how many workers to start.
    """
    if options.workers == 0:
        return None
    if options.workers:
        return Cluster(options.workers, address=options.ray_address)
    import torch

    here = torch.cuda.device_count()
    if options.gpus:
        if options.ray_address is None and here < options.gpus:
            raise no_gpus(options.gpus, here)
        return Cluster(options.gpus, gpus_each=1, address=options.ray_address)
    if options.ray_address:
        raise ConfigError(
            f"--ray-address {options.ray_address}",
            "how many workers?",
            "add --gpus N, or --workers N for the CPU",
        )
    if here:
        return Cluster(here, gpus_each=1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Cluster(min(cores, MAX_DEFAULT_WORKERS))


def connect(cluster: Cluster) -> None:
    """Start Ray or join a cluster.

    Raises:
        ConfigError: nobody answers at the address, or there are fewer GPUs than asked for.
    """
    if cluster.address:
        _check_address(cluster.address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    import ray

    try:
        if cluster.address is None:
            ray.init(
                "local",
                num_cpus=cluster.actors,
                object_store_memory=SMALL_OBJECT_STORE,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        else:
            ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"--ray-address {cluster.address}" if cluster.address else "Ray"
        raise ConfigError(where, str(error), "check the address, or leave it out to run on this machine") from error
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = int(resources.get("GPU", 0))
    if gpus < cluster.actors * cluster.gpus_each:
        ray.shutdown()
        raise no_gpus(cluster.actors, gpus)


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
