"""Files made to exhaust a reader: each takes less than ten seconds, and all of them less than a gigabyte."""

import json
import resource
import subprocess
import sys

import pytest

from .bombs import BOMBS

pytestmark = pytest.mark.slow

SECONDS = 10


@pytest.fixture(scope="module")
def outcomes() -> dict[str, dict[str, object]]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    command = [sys.executable, "-W", "ignore", "-m", "tests.images.bombs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, preexec_fn=limit)
    assert done.returncode == 0, done.stderr[-2000:]
    return {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", BOMBS)
def test_it_is_stored_or_refused_soon_and_within_a_gigabyte(
    name: str, outcomes: dict[str, dict[str, float]]
) -> None:
    found = outcomes[name]
    assert found["seconds"] < SECONDS
    assert found["memory"] < 1000
    assert found["outcome"] in ("stored", "image_corrupt", "image_too_large", "image_animated", "image_mode")


@pytest.mark.parametrize("name", [name for name in BOMBS if "scans" in name])
def test_scans_without_end_are_not_decoded(name: str, outcomes: dict[str, dict[str, object]]) -> None:
    assert outcomes[name]["outcome"] == "image_corrupt"
