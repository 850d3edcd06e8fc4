"""Stop a command at each step of its writing, in turn."""

from collections.abc import Callable

import pytest

from glitbuild.shards import store
from glitbuild.shards.store import Store


class Stopped(BaseException):
    """Stands for a kill."""


def stopped(action: Callable[[], object], steps: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run until so many files appeared or were removed; return whether it was stopped by that."""
    replace_, remove, taken = store.os.replace, Store.remove, 0

    def step() -> None:
        nonlocal taken
        if taken == steps:
            raise Stopped
        taken += 1

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "replace", lambda *names: (step(), replace_(*names)))
        patch.setattr(Store, "remove", lambda *name: (step(), remove(*name)))
        try:
            action()
        except Stopped:
            return True
    return False
