"""How many samples came from where: by dataset, licence, split and origin."""

from collections import Counter
from collections.abc import Iterable, Mapping

from glitbuild.records import Source

FIELDS = ("dataset", "license", "split", "origin")

MOST = 100
"""Values of a field that the manifest names; an origin may be another one for every sample."""

OTHERS = "(others)"

SourceCounts = dict[str, dict[str, int]]
"""Samples by the values of each field; the empty value counts those whose input did not say."""


def count_sources(sources: Iterable[Source]) -> SourceCounts:
    """Return the counts over samples, by value in the order of the values."""
    counters = {field: Counter[str]() for field in FIELDS}
    for source in sources:
        for field, counter in counters.items():
            counter[getattr(source, field)] += 1
    return {field: dict(sorted(counter.items())) for field, counter in counters.items()}


def add_sources(into: SourceCounts, more: Mapping[str, Mapping[str, int]]) -> SourceCounts:
    """Return two counts added."""
    added: SourceCounts = {}
    for field in (*into, *(field for field in more if field not in into)):
        total = Counter(into.get(field, {}))
        total.update(more.get(field, {}))
        added[field] = dict(total)
    return added


def most_frequent(counts: SourceCounts) -> SourceCounts:
    """Return the counts with the most frequent values first; those beyond ``MOST`` are ``OTHERS`` together."""
    kept: SourceCounts = {}
    for field, of in counts.items():
        ordered = sorted(of.items(), key=lambda item: (-item[1], item[0]))
        kept[field] = dict(ordered[:MOST])
        if len(ordered) > MOST:
            kept[field][OTHERS] = sum(number for _, number in ordered[MOST:])
    return kept
