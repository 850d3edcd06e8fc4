"""Files of metrics that ``glitbuild eval --out`` wrote, for cards."""

import json
from typing import Any

from glitbuild.errors import ConfigError, DatasetError
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.report import SCHEMA as EVAL_SCHEMA
from glitbuild.stages.publish.hub.remote import Entry

__all__ = ["EVAL_SCHEMA", "GIVEN_FIGURES", "Figures", "read_json", "read_report"]

Figures = dict[str, Any]
"""Content of the files written by ``glitbuild eval --out``."""

GIVEN_FIGURES = "eval.json"
"""Name of the ``--eval`` file in the repository."""


def read_report(path: str) -> tuple[Figures, Entry]:
    """Return the content of a file that ``glitbuild eval --out`` wrote, and its entry in the repository.

    Raises:
        ConfigError: there is no such file, or it is another one.
    """
    folder, _, name = path.rpartition("/")
    store = Store(folder or ("/" if path.startswith("/") else "."))
    if not store.exists(name):
        raise ConfigError(f"--eval {path}", "no such file", "give a file written by `glitbuild eval --out`")
    content = read_json(store, name)
    if content.get("schema") != EVAL_SCHEMA:
        raise ConfigError(
            f"--eval {path}", "not a file of metrics", "give a file written by `glitbuild eval --out`"
        )
    return content, Entry.made(GIVEN_FIGURES, store.read(name))


def read_json(store: Store, name: str) -> dict[str, Any]:
    """Return a JSON object from a file; empty if the file holds something else.

    Raises:
        DatasetError: it is not JSON.
    """
    try:
        content = json.loads(store.read(name))
    except ValueError as error:
        raise DatasetError(store.path(name), f"not JSON ({error})", "remove it or recreate it") from error
    return content if isinstance(content, dict) else {}
