"""The command ``eval``: a model's figures on a dataset."""

import hashlib
import logging
import time
from dataclasses import dataclass

from glitbuild.clip.load import ClipSpec
from glitbuild.engine.progress import Progress
from glitbuild.engine.versions import versions_of
from glitbuild.errors import ModelError
from glitbuild.evaluate.collect import Collector
from glitbuild.evaluate.embed import Embedder, choose_device
from glitbuild.evaluate.figures import SuiteReport, Suites
from glitbuild.evaluate.options import EvalOptions
from glitbuild.evaluate.plan import make_plan
from glitbuild.shards.layout import MANIFEST
from glitbuild.shards.manifest import open_dataset, require_captions

log = logging.getLogger(__name__)

OPTION_NAMES = {"--clip-pretrained": "--pretrained", "--clip-model": "MODEL", "--model": "MODEL"}
"""What errors of a model call the options of ``match``, and what they are called here."""


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


def run_eval(options: EvalOptions, plain: bool = False) -> Report:
    """Evaluate a model; what can be wrong with the options is found before the model is loaded.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        ConfigError: there is no such dataset, it lacks what a suite needs, or there is no GPU.
        ModelError: the model can't be had, or is of a kind not supported.
        DatasetError: the dataset is damaged.
        EvaluationError: the model's embeddings are not finite.
    """
    store, manifest = open_dataset(options.dir)
    require_captions(options.dir, manifest)
    plan = make_plan(options, store, manifest)
    device = choose_device(options.device)
    spec, embedder = _load(options, device)
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


def _load(options: EvalOptions, device: str) -> tuple[ClipSpec, Embedder]:
    try:
        spec = ClipSpec.parse(options.model, options.pretrained)
        return spec, Embedder(spec, options.context_length, options.batch_size, device)
    except ModelError as error:
        what = error.what
        for name, here in OPTION_NAMES.items():
            what = what.replace(name, here)
        raise ModelError(what, error.why, error.fix) from error
