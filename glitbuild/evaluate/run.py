"""The command ``eval``: a model's figures on a dataset."""

import hashlib
import logging
import time
from dataclasses import dataclass, field
from typing import Any

from glitbuild.clip.load import CONTEXT_LENGTH, ClipSpec
from glitbuild.clip.names import EVAL
from glitbuild.clip.saved import CONFIG, WEIGHTS
from glitbuild.engine.progress import Progress
from glitbuild.engine.versions import versions_of
from glitbuild.evaluate.collect import Collector
from glitbuild.evaluate.embed import Embedder, choose_device
from glitbuild.evaluate.figures import SuiteReport, Suites
from glitbuild.evaluate.options import EvalOptions
from glitbuild.evaluate.plan import make_plan
from glitbuild.shards.layout import MANIFEST
from glitbuild.shards.manifest import open_dataset, require_captions
from glitbuild.shards.output import check_writable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """A model's figures on a dataset.

    Attributes:
        model: its name or folder.
        identity: its tag, or the SHA-256 of its weights.
        context_length: tokens of a text that it reads.
        dataset: the dataset directory.
        manifest: SHA-256 of the dataset's manifest.
        samples: of the dataset, a caption each.
        images: different ones among their pictures.
        truncated: captions of which the model doesn't see the end.
        suites: by name, in order.
        device: the torch device.
        seed: of the false sentences and of the bootstrap.
        seconds: that all of it took, without loading the model.
        versions: of the packages that decide the figures.
        reading: how the weights are read, where the model's names don't say it, by option.
    """

    model: str
    identity: str
    context_length: int
    dataset: str
    manifest: str
    samples: int
    images: int
    truncated: int
    suites: dict[str, SuiteReport]
    device: str
    seed: int
    seconds: float
    versions: dict[str, str]
    reading: dict[str, Any] = field(default_factory=dict)


def run_eval(options: EvalOptions, plain: bool = False) -> Report:
    """Evaluate a model; what can be wrong with the options is found before anything is written.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        ConfigError: there is no such dataset, it lacks what a suite needs, there is no GPU, or a file can't be
            written.
        ModelError: the model can't be had, or is of a kind not supported.
        DatasetError: the dataset is damaged.
        EvaluationError: the model's embeddings are not finite.
    """
    store, manifest = open_dataset(options.dir)
    require_captions(options.dir, manifest)
    plan = make_plan(options, store, manifest)
    device = choose_device(options.device)
    _check_outputs(options)
    spec = ClipSpec.parse(options.model, options.pretrained, options.facts, EVAL)
    embedder = Embedder(spec, options.context_length, options.batch_size, device)
    start = time.monotonic()
    samples = manifest.totals["samples"]
    with Progress("eval", samples, plain) as progress:
        embedded = Collector(embedder, plan, options.batch_size).run(store, manifest, progress.advance)
    suites = Suites(embedded, embedder, plan, options)
    found = {}
    for name in plan.suites:
        log.debug("suite %s", name)
        found[name] = suites.run(name)
    return Report(
        model=spec.name,
        identity=spec.identity,
        reading={name: value for name, value in spec.changes.items() if name != CONTEXT_LENGTH},
        context_length=options.context_length,
        dataset=store.name,
        manifest=f"sha256:{hashlib.sha256(store.read(MANIFEST)).hexdigest()}",
        samples=samples,
        images=len(embedded.images),
        truncated=embedded.truncated,
        suites=found,
        device=device,
        seed=options.seed,
        seconds=round(time.monotonic() - start, 1),
        versions=versions_of("eval"),
    )


def _check_outputs(options: EvalOptions) -> None:
    """See that the files to write can be written, and are none of those that are read."""
    weights = [f"{options.model}/{CONFIG}", f"{options.model}/{WEIGHTS}", *filter(None, [options.pretrained])]
    for option, path in (("--out", options.out), ("--markdown", options.markdown)):
        if path:
            check_writable(path, [options.dir], weights, option)
