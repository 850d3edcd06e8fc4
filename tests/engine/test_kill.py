"""SIGKILL at any moment, driver and workers alike; the same command again ends with the same bytes."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from tests.factories import jpeg
from tests.run import GLITBUILD, done, tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SAMPLES = 60


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(SAMPLES):
        data = jpeg(400, 300, seed=number)
        (folder / f"{number:03d}.jpg").write_bytes(data[: len(data) // 2] if number % 10 == 3 else data)
        (folder / f"{number:03d}.txt").write_text(f"Noise number {number}. It has many colours. Nothing moves.")
    return folder


def killed(command: Sequence[object], when: Callable[[], bool]) -> bool:
    """Start a command, kill it and all it started once ``when`` holds; return whether it was still running."""
    process = subprocess.Popen(
        [GLITBUILD, *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not when():
        time.sleep(0.002)
    running = process.poll() is None
    # Ray's processes leave the session of the driver, so they are looked up as its descendants.
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)] if running else []
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(family, timeout=20)
    return running


def finished_shards(out: Path) -> int:
    return len(list(out.glob("shards/*.json")))


def test_a_killed_ingest_goes_on_to_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    command = ["ingest", photos, "--shard-size", 5, "--out"]
    done(*command, tmp_path / "whole")
    out, stopped = tmp_path / "out", 0
    for shards in (0, 1, 3, 7, 10):
        stopped += killed([*command, out], lambda shards=shards: out.exists() and finished_shards(out) >= shards)
    assert stopped, "no run was killed before its end"
    done(*command, out)
    assert tree(out) == tree(tmp_path / "whole")


def test_a_killed_match_goes_on_to_the_same_bytes(photos: Path, clip_checkpoint: Path, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    done("ingest", photos, "--shard-size", 5, "--out", raw)
    models = ["--detector", "none", "--clip-model", "ViT-S-32-alt", "--clip-pretrained", clip_checkpoint]
    done("match", raw, "--workers", 0, *models, "--out", tmp_path / "whole")
    command = ["match", raw, "--workers", 2, *models, "--out", out]
    moments: list[Callable[[], bool]] = [
        lambda: any(out.glob("shards/.*.tar*")),  # the first tar is being written
        lambda: finished_shards(out) >= random.randint(3, 9),
    ]
    stopped = sum(killed(command, when) for when in moments)
    assert stopped, "no run was killed before its end"
    done(*command)
    assert tree(out) == tree(tmp_path / "whole")


def test_no_worker_outlives_its_killed_driver(photos: Path, clip_checkpoint: Path, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    done("ingest", photos, "--shard-size", 5, "--out", raw)
    models = ["--detector", "none", "--clip-model", "ViT-S-32-alt", "--clip-pretrained", clip_checkpoint]
    driver = subprocess.Popen(
        [GLITBUILD, "match", raw, "--workers", "1", *map(str, models), "--out", out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while driver.poll() is None and not finished_shards(out):
        time.sleep(0.01)
    family = psutil.Process(driver.pid).children(recursive=True)
    workers = [process for process in family if "_Host" in "".join(process.cmdline())]
    assert len(workers) == 1
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    for process in family:  # Ray's own agents take a minute to notice
        if process.is_running():
            process.kill()
    assert alive == []
