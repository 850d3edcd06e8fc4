"""The runner for where the workers are to run."""

from glitbuild.engine.cluster import Cluster
from glitbuild.engine.local_runner import LocalRunner
from glitbuild.engine.task import BuildWorker, Report, Runner, TaskT


def running(
    build_worker: BuildWorker[TaskT, Report], cluster: Cluster | None, slots: int = 1
) -> Runner[TaskT, Report]:
    """Return a runner: of Ray actors on a cluster, or of one worker in this process.

    Args:
        build_worker: makes a worker where it is to run.
        cluster: as ``choose_cluster`` returned it; None for this process.
        slots: tasks that a worker has in flight. More than one is for workers that mostly wait, for downloads
            say; ``run`` is then called from several threads.
    """
    if cluster is None:
        return LocalRunner(build_worker, slots)
    from glitbuild.engine.ray_runner import RayRunner

    return RayRunner(build_worker, cluster, slots)
