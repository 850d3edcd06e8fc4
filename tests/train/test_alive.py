"""Who is asked whether Ray still lives, and what is said of it."""

import json
import socket
import threading
from pathlib import Path

import pytest

from glitbuild.train.alive import TIMES, Pulse, in_background
from glitbuild.train.plan import Plan


def test_who_no_longer_listens_is_missing_and_who_does_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there, socket.create_server(("127.0.0.1", 0)) as ends:
        pulse = Pulse({"head": there.getsockname()[:2], "raylet": ends.getsockname()[:2]})
        assert [pulse.missing() for _ in range(TIMES)] == [None] * TIMES
        ends.close()
        assert [pulse.missing() for _ in range(TIMES)] == [None] * (TIMES - 1) + ["raylet"]


def test_one_refusal_alone_is_no_death() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        place = there.getsockname()[:2]
    pulse = Pulse({"head": place})
    assert pulse.missing() is None
    with socket.create_server(place):
        assert pulse.missing() is None
    assert pulse.missing() is None


def test_what_runs_in_the_background_is_waited_for_only_as_long_as_one_wants() -> None:
    go_on = threading.Event()
    future = in_background(go_on.wait)
    with pytest.raises(TimeoutError):
        future.result(0.01)
    go_on.set()
    assert future.result(5) is True

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_background(fail).result(5)


def test_images_are_counted_by_the_log_s_last_whole_line(tmp_path: Path) -> None:
    from glitbuild.train.several import _images

    plan, log = Plan((5, 4), 0, 4), tmp_path / "log.jsonl"  # 4, 4 and 1
    images = _images(tmp_path, plan)
    assert next(images) == 0  # there is no log yet
    for steps, new in (([1], 4), ([1, 2, 3], 5), ([1, 2, 3, 4], 4)):
        log.write_text("".join(json.dumps({"step": step}) + "\n" for step in steps) + '{"step": 9')
        assert next(images) == new
    log.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2)))  # taken back
    assert next(images) == 0
