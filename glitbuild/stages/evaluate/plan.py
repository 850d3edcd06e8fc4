"""What is to be computed of a dataset: the suites, and what they need."""

from dataclasses import dataclass

from glitbuild.errors import ConfigError
from glitbuild.shards.manifest import Manifest
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.options import AVERAGING, JOINT, LOCALIZATION, RETRIEVAL, ROBUSTNESS, EvalOptions

TRUTH, PAIRS = "truth", "best pairs"
"""Where the places of sentences come from."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compute.

    Attributes:
        suites: in the order in which they are reported.
        places: where the places of sentences come from: ``truth``, ``best pairs``, or "" where they aren't needed.
        pairs: which pairs of a sample the joint suite takes: ``best``, ``all``, or "" for none.
    """

    suites: tuple[str, ...]
    places: str
    pairs: str

    @property
    def needs_sentences(self) -> bool:
        """Whether captions have to be split."""
        return ROBUSTNESS in self.suites or AVERAGING in self.suites


def make_plan(options: EvalOptions, store: Store, manifest: Manifest) -> Plan:
    """Return what to compute; without ``--suite``, all that the dataset can serve.

    Raises:
        ConfigError: the dataset has no samples, or lacks what a suite needs.
    """
    if not manifest.totals["samples"]:
        raise ConfigError(store.url, "it has no samples", "evaluate a dataset that has some")
    matched = manifest.config["stage"] == "match"
    truth = bool(store.names("truth"))
    can = {
        RETRIEVAL: True,
        LOCALIZATION: matched or truth,
        ROBUSTNESS: True,
        JOINT: matched,
        AVERAGING: True,
    }
    suites = options.suites or tuple(name for name in can if can[name])
    for name in suites:
        if not can[name]:
            why = f"the suite {name} needs pairs, and {store.url} has none"
            fix = f"run glitbuild match {store.url} --out ... and evaluate what it writes"
            raise ConfigError(f"--suite {name}", why, fix)
    places = "" if LOCALIZATION not in suites else TRUTH if truth else PAIRS
    return Plan(suites, places, options.joint_pairs if JOINT in suites else "")
