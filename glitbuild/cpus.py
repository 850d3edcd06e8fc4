"""How many CPUs this process may use."""

import os


def usable_cpus() -> int:
    """Return the CPUs this process may run on: its affinity where the system has one, else all there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # missing on macOS
    return (len(affinity(0)) if affinity else os.cpu_count()) or 1
