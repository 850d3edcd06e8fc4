"""The photographs that ultralytics ships, with long captions of our own."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

from glitbuild.errors import SourceError


def write_photos(folder: Path) -> Path:
    """Put the photographs into a folder, and a list of them with their captions.

    Args:
        folder: made if it is missing.

    Returns:
        The list, a .jsonl file that ``glitbuild ingest`` reads.

    Raises:
        SourceError: the installed ultralytics has no such photograph.
    """
    from ultralytics.utils import ASSETS

    listed = files("glitbuild.demo").joinpath("captions.jsonl").read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (json.loads(line)["image"] for line in listed.splitlines()):
        if not (ASSETS / name).is_file():
            fix = "install the ultralytics that requirements.lock names"
            raise SourceError(str(ASSETS / name), "ultralytics ships no such photograph here", fix)
        shutil.copyfile(ASSETS / name, folder / name)
    (folder / "captions.jsonl").write_text(listed, encoding="utf-8")
    return folder / "captions.jsonl"
