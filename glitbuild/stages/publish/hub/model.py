"""The files of a run, or of an export, that are of use to others, with the card that is made for the Hub."""

import json
import logging
from typing import Any

from glitbuild.clip.saved import CONFIG, WEIGHTS
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.report import SCHEMA as EVAL_SCHEMA
from glitbuild.stages.export.target import WRITTEN
from glitbuild.stages.publish.hub.command import PushOptions
from glitbuild.stages.publish.hub.contents import CARD, Contents, Entry
from glitbuild.stages.publish.hub.model_card import Figures, Model, model_card
from glitbuild.stages.train.command import RUN
from glitbuild.stages.train.log import LINES

HF_CONFIG, HF_WEIGHTS = "config.json", "model.safetensors"

GIVEN_FIGURES = "eval.json"
"""The name that ``--eval`` gets in the repository."""

log = logging.getLogger(__name__)


def holds_model(store: Store) -> bool:
    """Whether a folder is a run's or an export's."""
    return any(store.exists(name) for name in (RUN, WEIGHTS, HF_WEIGHTS))


def model_contents(options: PushOptions) -> Contents:
    """Return what the repository of a model is to hold: no checkpoints, no TensorBoard files.

    A ``README.md`` in the folder is taken as the card; otherwise one is made.

    Raises:
        ConfigError: there is no whole model, or its training isn't finished.
        DatasetError: a file is not what its name says.
    """
    store = Store(options.path)
    present = store.sizes("")
    run = _json(store, RUN) if RUN in present else {}
    if RUN in present and "done" not in run:
        raise ConfigError(options.path, "the training isn't finished", "run the same glitbuild train again")
    open_clip, hf = {CONFIG, WEIGHTS} <= present.keys(), {HF_CONFIG, HF_WEIGHTS} <= present.keys()
    if not (open_clip or hf):
        raise ConfigError(options.path, "no model there", "give the folder of a finished run or of an export")
    figures = {name: _json(store, name) for name in present if name.endswith(".json") and name not in WRITTEN}
    figures = {name: content for name, content in figures.items() if content.get("schema") == EVAL_SCHEMA}
    entries = [Entry.stored(store, name) for name in present if name in WRITTEN | {RUN, LINES} | figures.keys()]
    if options.eval:
        figures[GIVEN_FIGURES], given = _given(options.eval)
        entries = [entry for entry in entries if entry.name != GIVEN_FIGURES] + [given]
    if CARD in present:
        card = Entry.stored(store, CARD)
    else:
        if not options.license:
            log.warning("push: the card says no licence; --license gives it one")
        config = _json(store, CONFIG if open_clip else HF_CONFIG)
        model = Model(config, run.get("config", {}), run.get("done", {}), open_clip, hf)
        card = Entry.made(CARD, model_card(options, model, list(figures.values())).encode())
    weights = tuple(entry for entry in entries if entry.name in (WEIGHTS, HF_WEIGHTS))
    others = tuple(entry for entry in entries if entry not in weights)
    return Contents("model", store, weights, (*others, card))


def _given(path: str) -> tuple[Figures, Entry]:
    folder, _, name = path.rpartition("/")
    store = Store(folder or ("/" if path.startswith("/") else "."))
    if not store.exists(name):
        raise ConfigError(f"--eval {path}", "no such file", "give one that glitbuild eval --out wrote")
    content = _json(store, name)
    if content.get("schema") != EVAL_SCHEMA:
        raise ConfigError(f"--eval {path}", "not figures of glitbuild eval", "give one that its --out wrote")
    return content, Entry.made(GIVEN_FIGURES, store.read(name))


def _json(store: Store, name: str) -> dict[str, Any]:
    try:
        content = json.loads(store.read(name))
    except ValueError as error:
        raise DatasetError(store.path(name), f"not JSON ({error})", "remove it or make it again") from error
    return content if isinstance(content, dict) else {}
