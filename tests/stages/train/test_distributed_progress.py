"""What the command does while other processes train."""

import json
import threading
from pathlib import Path

import pytest

from glitbuild.stages.train.distributed import _images, _in_background
from glitbuild.stages.train.plan import Plan


def test_what_runs_in_the_background_is_waited_for_only_as_long_as_one_wants() -> None:
    go_on = threading.Event()
    future = _in_background(go_on.wait)
    with pytest.raises(TimeoutError):
        future.result(0.01)
    go_on.set()
    assert future.result(5) is True

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        _in_background(fail).result(5)


def test_images_are_counted_by_the_log_s_last_whole_line(tmp_path: Path) -> None:
    plan, log = Plan((5, 4), 0, 4), tmp_path / "log.jsonl"  # 4, 4 and 1
    images = _images(tmp_path, plan)
    assert next(images) == 0  # there is no log yet
    for steps, new in (([1], 4), ([1, 2, 3], 5), ([1, 2, 3, 4], 4)):
        log.write_text("".join(json.dumps({"step": step}) + "\n" for step in steps) + '{"step": 9')
        assert next(images) == new
    log.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2)))  # taken back
    assert next(images) == 0
