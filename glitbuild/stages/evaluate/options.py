"""Options of ``glitbuild eval``, and the plan of what to compute."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from glitbuild.clip.facts import LEAST_CONTEXT, LONG_CONTEXT, FactOptions
from glitbuild.engine.cluster import check_workers
from glitbuild.errors import ConfigError
from glitbuild.options import RAY_ADDRESS, Options, about
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.protocols import PROTOCOLS, Protocol

RETRIEVAL = "retrieval"
LOCALIZATION = "localization"
ROBUSTNESS = "robustness"
JOINT = "joint"
AVERAGING = "averaging"
REGIONS = "regions"
ALIGNMENT = "alignment"
SUITES = (RETRIEVAL, LOCALIZATION, ROBUSTNESS, JOINT, AVERAGING, REGIONS, ALIGNMENT)

ZEROSHOT = "zeroshot"
SUGARCREPE = "sugarcrepe"
WINOGROUND = "winoground"
FGOVD = "fgovd"
BENCHMARKS = (ZEROSHOT, SUGARCREPE, WINOGROUND, FGOVD)
"""Suites of published benchmarks, each in a folder of its own layout."""

DEVICES = ("auto", "cpu", "cuda")
JOINT_PAIRS = ("best", "all")

# Options that eval and the commands that evaluate with it have in common.
JSON_FILE = about("JSON file to write; a local path or an fsspec URL.")
MARKDOWN_FILE = about("Markdown file to write; a local path or an fsspec URL.")
BATCH_SIZE = about("Images or texts per batch; halved if memory is too small.", least=1)
DEVICE = about("Where to compute; auto uses a GPU if there is one.", choices=DEVICES)
SEED = about("Seed for the false sentences and the bootstrap.", least=0, most=2**63 - 1)
GPUS = about("Number of GPUs, one worker each, through Ray.", absent="this process", least=1)
WORKERS = about("Number of CPU workers instead, through Ray.", least=0)
CACHE = about("Folder that caches the embeddings of shards for later runs; a path or an fsspec URL.")
CACHE_SIZE = about("Maximum size of --cache in gigabytes.", above=0)


@dataclass(frozen=True, slots=True)
class EvalOptions(FactOptions):
    """Measure a model on a dataset: retrieval, localization, robustness.

    MODEL is a folder with a model, such as a run's, an architecture of open_clip, or demo. DIR is a dataset
    directory, or a published benchmark: images in one folder per class, CLIP_benchmark's WebDatasets, SugarCrepe,
    Winoground, FG-OVD. The joint suite needs the pairs of `glitbuild match`; localization needs them, or the truth
    of `glitbuild scenes`.
    """

    model: str = field(
        metadata=about(
            "Folder with a model, such as a run's; architecture of open_clip; or demo.",
            argument=True,
        )
    )
    dir: str = field(metadata=about("Dataset directory, or folder of a published benchmark.", argument=True))
    pretrained: str | None = field(
        default=None,
        metadata=about("Tag of open_clip, or checkpoint file, of an architecture.", absent="openai"),
    )
    suite: str = field(
        default="",
        metadata=about(
            "retrieval, localization, robustness, joint, averaging, regions, alignment, separated by commas; "
            "zeroshot, sugarcrepe, winoground or fgovd for a benchmark.",
            absent="all that DIR supports, without alignment",
        ),
    )
    protocol: str | None = field(
        default=None,
        metadata=about(
            "Published retrieval protocol: which samples of DIR, which text, which K.",
            absent="all samples",
            choices=tuple(PROTOCOLS),
        ),
    )
    out: str | None = field(default=None, metadata=JSON_FILE)
    markdown: str | None = field(default=None, metadata=MARKDOWN_FILE)
    context_length: int | None = field(
        default=None,
        metadata=about(
            "Number of tokens to read per text; a CLIP that reads fewer is stretched to it.",
            absent="248 where the model can be stretched; its own on benchmarks",
            least=LEAST_CONTEXT,
        ),
    )
    joint_pairs: str = field(
        default="best",
        metadata=about("Pairs per image in the joint suite.", choices=JOINT_PAIRS),
    )
    batch_size: int = field(default=64, metadata=BATCH_SIZE)
    device: str = field(
        default="auto",
        metadata=DEVICE,
    )
    seed: int = field(
        default=0,
        metadata=SEED,
    )
    gpus: int | None = field(
        default=None,
        metadata=GPUS,
    )
    workers: int | None = field(default=None, metadata=WORKERS)
    ray_address: str | None = field(default=None, metadata=RAY_ADDRESS)
    cache: str | None = field(
        default=None,
        metadata=CACHE,
    )
    cache_size: float = field(default=10.0, metadata=CACHE_SIZE)

    def __post_init__(self) -> None:
        FactOptions.__post_init__(self)
        for name in self.suites or ():
            if name not in SUITES + BENCHMARKS:
                known = ", ".join(SUITES + BENCHMARKS)
                raise ConfigError(f"--suite {name}", "unknown suite", f"give one or more of {known}")
        if self.out and self.out == self.markdown:
            raise ConfigError(
                f"--out and --markdown {self.out}", "both are the same file", "give each its own file"
            )
        if self.protocol and self.suites not in (None, (RETRIEVAL,)):
            why = f"the protocol {self.protocol} is one of retrieval"
            raise ConfigError(f"--suite {self.suite}", why, "omit one of the two options")
        check_workers(self.workers, self.gpus, self.ray_address)
        if self.device != "auto" and (self.gpus or self.workers):
            given = f"--device {self.device} and --{'gpus' if self.gpus else 'workers'}"
            raise ConfigError(given, "both given", "omit --device: --gpus runs on GPUs, --workers on CPUs")

    @property
    def suites(self) -> tuple[str, ...] | None:
        """Requested suites, each once; None for all that the dataset supports."""
        if not self.suite:
            return None
        return tuple(dict.fromkeys(name.strip() for name in self.suite.split(",")))


@dataclass(frozen=True, slots=True)
class CompareOptions(Options):
    """Compare models on the same data, with paired bootstrap intervals.

    Each MODEL is a folder with a model, ARCHITECTURE@PRETRAINED of open_clip, or demo; LABEL=MODEL gives it a name
    in the tables. The first model is the baseline of the others.
    """

    models: str | Sequence[str] = field(
        metadata=about("Models: [LABEL=]MODEL[@PRETRAINED].", argument=True, metavar="MODEL...")
    )
    data: str | Sequence[str] = field(
        metadata=about(
            "Dataset directory or benchmark, or with a protocol, such as docci/5000=DIR. Repeat it for more."
        )
    )
    suite: str = field(
        default="",
        metadata=about(
            "Suites of eval, separated by commas, for data without a protocol.",
            absent="all that the data supports",
        ),
    )
    out: str | None = field(default=None, metadata=JSON_FILE)
    markdown: str | None = field(default=None, metadata=MARKDOWN_FILE)
    latex: str | None = field(
        default=None, metadata=about("LaTeX file to write, a table for booktabs; a local path or an fsspec URL.")
    )
    context_length: int | None = field(
        default=None,
        metadata=about(
            "Number of tokens to read per text.",
            absent="as eval",
            least=LEAST_CONTEXT,
        ),
    )
    batch_size: int = field(default=64, metadata=BATCH_SIZE)
    device: str = field(
        default="auto",
        metadata=DEVICE,
    )
    seed: int = field(
        default=0,
        metadata=SEED,
    )
    gpus: int | None = field(
        default=None,
        metadata=GPUS,
    )
    workers: int | None = field(default=None, metadata=WORKERS)
    ray_address: str | None = field(default=None, metadata=RAY_ADDRESS)
    cache: str | None = field(
        default=None,
        metadata=CACHE,
    )
    cache_size: float = field(default=10.0, metadata=CACHE_SIZE)

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        for name, values in (("MODEL", self.models), ("--data", self.data)):
            if not values:
                raise ConfigError(name, "none is given", "give at least one")
        check_workers(self.workers, self.gpus, self.ray_address)


TRUTH, PAIRS = "truth", "best pairs"
"""Where the places of sentences come from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compute.

    Attributes:
        suites: suites in the order in which they are reported.
        places: origin of the places of sentences: ``truth``, ``best pairs``, or "" if they aren't needed.
        pairs: pairs of a sample that the joint suite uses: ``best``, ``all``, or "" for none.
        protocol: protocol that selects samples and texts; None for all samples.
        may_omit: whether a suite that the model can't serve is omitted, because the user didn't name it.
    """

    suites: tuple[str, ...]
    places: str
    pairs: str
    protocol: Protocol | None = None
    may_omit: bool = False

    @property
    def needs_boxes(self) -> bool:
        """Whether the crops of given boxes have to be embedded."""
        return REGIONS in self.suites

    @property
    def needs_sentences(self) -> bool:
        """Whether captions have to be split into sentences."""
        return ROBUSTNESS in self.suites or AVERAGING in self.suites


def make_plan(options: EvalOptions, store: Store, manifest: Manifest) -> Plan:
    """Return what to compute; without ``--suite``, all that the dataset supports.

    Raises:
        ConfigError: the dataset has no samples, or lacks what a suite needs.
    """
    if not manifest.totals["samples"]:
        raise ConfigError(store.url, "it has no samples", "evaluate a dataset that has some")
    if options.protocol:
        protocol = PROTOCOLS[options.protocol]
        protocol.check(store.url, manifest)
        return Plan((RETRIEVAL,), "", "", protocol)
    matched = manifest.config["stage"] == "match"
    truth = bool(store.names("truth"))
    can = {
        RETRIEVAL: True,
        LOCALIZATION: matched or truth,
        ROBUSTNESS: True,
        JOINT: matched,
        AVERAGING: True,
        REGIONS: bool(manifest.totals.get("boxes")),
        ALIGNMENT: True,
    }
    # Alignment says something about the dataset, not about the model.
    suites = options.suites or tuple(name for name in can if can[name] and name != ALIGNMENT)
    for name in suites:
        if name in BENCHMARKS:
            why = f"{store.url} is a dataset directory, not a benchmark"
            raise ConfigError(f"--suite {name}", why, "give the folder of the benchmark")
        if name == REGIONS and not can[name]:
            why, fix = f"{store.url} has no given boxes", "ingest them with --boxes-column"
            raise ConfigError(f"--suite {name}", why, fix)
        if not can[name]:
            why = f"the suite {name} needs pairs, but {store.url} has none"
            fix = f"run glitbuild match {store.url} --out ... and evaluate its output"
            raise ConfigError(f"--suite {name}", why, fix)
    places = "" if LOCALIZATION not in suites else TRUTH if truth else PAIRS
    return Plan(suites, places, options.joint_pairs if JOINT in suites else "", may_omit=not options.suites)


def at_least(options: EvalOptions, plan: Plan) -> int | None:
    """Return the number of tokens to read where the model can be stretched; None for the model's own."""
    if options.context_length:
        return None
    return plan.protocol.context_length if plan.protocol else LONG_CONTEXT
