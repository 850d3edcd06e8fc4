"""SIGKILL at any moment, driver and workers alike; the same command again ends with the same bytes."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from tests.factories import jpeg
from tests.run import GLITBUILD, done, here, tree

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


def killed(command: Sequence[object], when: Callable[[], bool], only_the_driver: bool = False) -> bool:
    """Start a command, kill it and all it started once ``when`` holds; return whether it was still running.

    Where only the driver is killed, its workers must end by themselves.
    """
    process = subprocess.Popen(
        [GLITBUILD, *map(str, command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not when():
        time.sleep(0.002)
    running = process.poll() is None
    if not running:
        return False
    driver = psutil.Process(process.pid)
    family = driver.children(recursive=True)  # Ray's processes leave the driver's session and group
    workers = [member for member in family if "_Host" in _name(member)]
    for member in [driver] if only_the_driver else [driver, *family]:
        _kill(member)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    for member in family:  # Ray's own agents take a minute to notice
        _kill(member)
    assert alive == []
    return True


def ends_without_its_raylet(command: Sequence[object], when: Callable[[], bool]) -> str:
    """Start a command, kill its raylet once ``when`` holds; return what it says at its end, which comes soon."""
    with subprocess.Popen(
        [GLITBUILD, *map(str, command), "--log-json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not when():
            time.sleep(0.002)
        assert process.poll() is None, "it ended too soon"
        family = psutil.Process(process.pid).children(recursive=True)
        raylets = [member for member in family if "raylet/raylet" in _name(member)]
        assert raylets, "it has not started Ray yet"
        for member in raylets:
            _kill(member)
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 1, printed
    _, left = psutil.wait_procs(family, timeout=1)
    assert [member for member in left if _lives(member)] == []
    return str([json.loads(line) for line in printed.splitlines()][-1]["message"])


def _lives(process: psutil.Process) -> bool:
    """Whether a process runs; an orphan that nobody has waited for yet does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return


def is_writing(out: Path) -> bool:
    return any(out.glob("shards/.*.tar*")) or finished_shards(out) > 0


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


@pytest.fixture(scope="module")
def raw(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("raw") / "raw"
    done("ingest", photos, "--shard-size", 5, "--out", out)
    return out


@pytest.fixture(scope="module")
def match(raw: Path, clip_checkpoint: Path) -> list[object]:
    return [
        "match",
        raw,
        "--detector",
        "none",
        "--clip-model",
        "ViT-S-32-alt",
        "--clip-pretrained",
        clip_checkpoint,
    ]


@pytest.fixture(scope="module")
def whole(match: list[object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what a run gives that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "out"
    finish(match, out)
    return tree(out)


def finish(match: list[object], out: Path) -> None:
    ended = here(*match, "--workers", 0, "--out", out, cwd=out.parent)
    assert ended.returncode == 0, ended.stderr


def test_match_whose_driver_is_killed_goes_on_to_the_same_bytes(
    match: list[object], whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [*match, "--workers", 2, "--out", out]
    assert killed(command, lambda: is_writing(out), only_the_driver=True), "it ended too soon"
    finish(match, out)
    assert tree(out) == whole


def test_match_whose_raylet_is_killed_ends_and_goes_on_to_the_same_bytes(
    match: list[object], whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = ends_without_its_raylet([*match, "--workers", 2, "--out", out], lambda: is_writing(out))
    assert said == "glitbuild: error: Ray: its raylet died; run the same command again to continue"
    finish(match, out)
    assert tree(out) == whole
