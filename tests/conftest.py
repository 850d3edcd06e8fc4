"""Fixtures that several tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the folder of assets: ``$GLITBUILD_ASSETS``, else ``../shared/assets``.

    Where the second is missing the test is skipped. Where the first is, or a file in either, the test fails:
    it was promised.
    """
    promised = os.environ.get("GLITBUILD_ASSETS", "")
    path = Path(promised) if promised else Path(__file__).parents[2] / "shared" / "assets"
    if not path.is_dir():
        if promised:
            pytest.fail(f"GLITBUILD_ASSETS is set, but there is no folder {path}")
        pytest.skip("no folder ../shared/assets; set GLITBUILD_ASSETS to the folder that holds captions/")
    return path
