import os
import signal
import threading
import time
from pathlib import Path

import pytest

from glitbuild.stages.train.stopping import StopRequest


def test_the_first_sigterm_asks_and_the_second_interrupts(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest(tmp_path / "stop") as request:
        assert not request.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_file_asks_too_and_its_folder_may_be_missing(tmp_path: Path) -> None:
    request = StopRequest(tmp_path / "ray" / "stop")
    assert not request.asked
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "stop").touch()
    assert request.asked


def test_a_user_who_ignores_the_signal_is_not_overruled(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with StopRequest(tmp_path / "stop") as request:
            os.kill(os.getpid(), signal.SIGTERM)
            assert not request.asked
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_only_the_file_counts(tmp_path: Path) -> None:
    found: list[bool] = []

    def run() -> None:
        with StopRequest(tmp_path / "stop") as request:
            found.append(request.asked)
            (tmp_path / "stop").touch()
            found.append(request.asked)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [False, True]
