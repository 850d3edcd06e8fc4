"""The job files, as far as they can be checked without Kubernetes and SLURM: form, and the commands in them."""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import ray
import yaml

from glitbuild.cli import make_command

DEPLOY = Path(__file__).parents[1] / "deploy"
RAY_JOBS = sorted(DEPLOY.glob("kuberay-*.yaml"))
SBATCH = DEPLOY / "slurm.sbatch"

POD_TEMPLATE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["containers"],
            "properties": {
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "image", "resources"],
                        "properties": {
                            "name": {"type": "string", "pattern": "^[a-z0-9-]+$"},
                            "image": {"type": "string"},
                            "envFrom": {"type": "array"},
                            "resources": {
                                "type": "object",
                                "required": ["requests", "limits"],
                                "additionalProperties": {"type": "object"},
                            },
                        },
                    },
                }
            },
        }
    },
}
START_PARAMS = {"type": "object", "additionalProperties": {"type": "string"}}  # numbers are refused by the CRD
RAY_JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["entrypoint", "rayClusterSpec"],
            "properties": {
                "entrypoint": {"type": "string"},
                "submissionMode": {"enum": ["K8sJobMode", "HTTPMode"]},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": {"type": "integer"},
                "backoffLimit": {"type": "integer"},
                "rayClusterSpec": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["headGroupSpec"],
                    "properties": {
                        "rayVersion": {"type": "string"},
                        "enableInTreeAutoscaling": {"type": "boolean"},
                        "headGroupSpec": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["rayStartParams", "template"],
                            "properties": {"rayStartParams": START_PARAMS, "template": POD_TEMPLATE},
                        },
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "additionalProperties": False,
                                "required": [
                                    "groupName",
                                    "rayStartParams",
                                    "template",
                                    "maxReplicas",
                                    "minReplicas",
                                ],
                                "properties": {
                                    "groupName": {"type": "string"},
                                    "replicas": {"type": "integer", "minimum": 0},
                                    "minReplicas": {"type": "integer", "minimum": 0},
                                    "maxReplicas": {"type": "integer", "minimum": 1},
                                    "rayStartParams": START_PARAMS,
                                    "template": POD_TEMPLATE,
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What the job files use of KubeRay's custom resource ray.io/v1 RayJob."""


def parsed(command: list[str]) -> dict[str, Any]:
    """Return the options of a glitbuild command as our own command line reads them."""
    name, *args = command
    assert name == "glitbuild"
    found = make_command(args[0])
    assert isinstance(found, click.Command)
    return found.make_context(args[0], args[1:]).params


@pytest.mark.parametrize("path", RAY_JOBS, ids=lambda path: path.name)
def test_a_ray_job_fits_the_custom_resource_and_its_command_ours(path: Path) -> None:
    job = yaml.safe_load(path.read_text())
    jsonschema.validate(job, RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == ray.__version__, "the image has the Ray of the lock file"
    command = shlex.split(job["spec"]["entrypoint"])
    options = parsed(command)
    assert options["ray_address"] == "auto"
    (group,) = cluster["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    (container,) = group["template"]["spec"]["containers"]
    kind, option = ("nvidia.com/gpu", "gpus") if options.get("gpus") else ("cpu", "workers")
    assert options[option] == int(container["resources"]["limits"][kind]) * group["maxReplicas"]


STUB = """#!/bin/bash
# Stands for srun, ray and glitbuild: says what it was called with, and does nothing.
echo "$(basename "$0") $*" >> "$CALLS"
[ "$(basename "$0")" = ray ] && [ "$1" = status ] && exit "${STATUS:-0}"
if [ "$(basename "$0")" = glitbuild ]; then  # as the real one, not before the nodes have started
    while [ "$(grep -c ^srun "$CALLS")" -lt "$STEPS" ]; do command -p sleep 0.1; done
    if [ -n "${LONG:-}" ]; then
        trap 'command -p sleep 0.5; echo saved >> "$CALLS"; exit 130' TERM
        echo working >> "$CALLS"
        for turn in $(seq 300); do command -p sleep 0.1; done
    fi
    exit "${CODE:-0}"
fi
exit 0
"""


def start(tmp_path: Path, *command: str, **environment: str) -> "subprocess.Popen[bytes]":
    """Start the batch script with stubs for what only a cluster has; they write to ``calls``."""
    for name in ("srun", "ray", "glitbuild", "sleep"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    calls = tmp_path / "calls"
    calls.unlink(missing_ok=True)
    usual = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "SLURM_CPUS_PER_TASK": "16"}
    return subprocess.Popen(["bash", str(SBATCH), *command], env=usual | environment)


def batch(tmp_path: Path, *command: str, **environment: str) -> tuple[int, list[str]]:
    """Run the batch script with the stubs; return its exit code and what it called."""
    code = start(tmp_path, *command, **environment).wait()
    return code, (tmp_path / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("command", "environment", "option", "number"),
    [
        (["match", "/raw", "--out", "/pairs"], {"SLURM_GPUS_ON_NODE": "8"}, "gpus", 32),
        (["match", "/raw", "--out", "/pairs"], {}, "workers", 64),
        (["stats", "/pairs"], {}, "workers", 64),
    ],
)
def test_the_batch_script_starts_ray_on_all_nodes_and_runs_a_command_of_ours(
    command: list[str], environment: dict[str, str], option: str, number: int, tmp_path: Path
) -> None:
    code, calls = batch(tmp_path, *command, SLURM_JOB_NUM_NODES="4", STEPS="2", **environment)
    assert code == 0
    (ours,) = [call for call in calls if call.startswith("glitbuild ")]
    options = parsed(shlex.split(ours))
    assert options[option] == number
    head = re.fullmatch(r"(.+):6379", options["ray_address"])
    assert head
    starts = [call for call in calls if call.startswith("srun ")]
    assert any(f"--nodelist={head[1]} ray start --head --port=6379" in call for call in starts)
    assert any(f"--nodes=3 --ntasks=3 --exclude={head[1]} ray start --address={head[0]}" in call for call in starts)


@pytest.mark.slow
def test_the_batch_script_ends_as_its_command_does_or_where_ray_does_not_start(tmp_path: Path) -> None:
    code, calls = batch(tmp_path, "stats", "/pairs", SLURM_JOB_NUM_NODES="1", STEPS="1", CODE="2")
    assert code == 2
    assert len([call for call in calls if call.startswith("srun ")]) == 1
    code, calls = batch(tmp_path, "stats", "/pairs", SLURM_JOB_NUM_NODES="1", STATUS="1")
    assert code == 1
    assert not any(call.startswith("glitbuild ") for call in calls)


@pytest.mark.slow
def test_the_batch_script_passes_sigterm_on_and_waits_for_the_checkpoint(tmp_path: Path) -> None:
    process, calls = (
        start(tmp_path, "train", "/pairs", SLURM_JOB_NUM_NODES="1", STEPS="1", LONG="1"),
        tmp_path / "calls",
    )
    while not (calls.exists() and "working" in calls.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 130
    assert calls.read_text().splitlines()[-1] == "saved"
