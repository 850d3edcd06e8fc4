"""The Hub's client in this process, speaking to a Hub on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.stages.publish.hub_server import Hub, serve


@contextmanager
def logged_in(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[Hub]:
    """Start a Hub where anna is logged in; the client reads its address when it is imported."""
    from huggingface_hub import close_session, constants

    with serve(Hub()) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "no-login"))
        monkeypatch.setenv("HF_TOKEN", "hf_annas")
        try:
            yield hub
        finally:
            close_session()
