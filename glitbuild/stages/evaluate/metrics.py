"""Metrics of each suite from embeddings, in percent, with bootstrap intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glitbuild.errors import EvaluationError
from glitbuild.retrieval import DEPTH, KS, Hits, Retrieval, average_precision, check_embeddings, retrieve
from glitbuild.stages.evaluate.embedded import Embedded
from glitbuild.stages.evaluate.localization import KS as PATCHES
from glitbuild.stages.evaluate.options import (
    ALIGNMENT,
    AVERAGING,
    JOINT,
    LOCALIZATION,
    REGIONS,
    RETRIEVAL,
    ROBUSTNESS,
    EvalOptions,
    Plan,
)
from glitbuild.stages.evaluate.regions import TEMPLATE, label_hits, referring_hits
from glitbuild.stages.evaluate.robustness import disturb

RESAMPLES = 10_000
CONFIDENCE = 0.95
CHUNK_CELLS = 2**20
"""Number of counts drawn at a time: 8 MiB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference of two means with its bootstrap bounds."""

    difference: float
    low: float
    high: float


def paired_bootstrap(
    before: NDArray[Any],
    after: NDArray[Any],
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the mean of ``after - before`` over queries, with its percentile bootstrap interval (Efron, 1979).

    Queries are resampled with replacement, in both arms together. The number of times each distinct difference is
    drawn is multinomial, and hits take few distinct values, so these counts are drawn instead: the distribution is
    the same, with a few numbers per resample instead of one per query.

    Queries are assumed to be independent. If they aren't (five captions per image), pass the mean of each image.

    Args:
        before: Q, score of each query in the first arm.
        after: Q, score of each query in the second arm.
        seed: seed of the resampling; equal seeds give equal bounds.
        resamples: number of resamples.
        confidence: share of resamples between the bounds.

    Raises:
        EvaluationError: the arms are empty, differ in length, or hold scores that aren't finite.
    """
    if len(before) != len(after) or not len(before):
        what = f"arms of {len(before):,} and {len(after):,} queries"
        raise EvaluationError(what, "can't be paired", "give both arms the same queries in the same order")
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    if not np.isfinite(differences).all():
        raise EvaluationError("scores", "some are not finite", "give each query a finite score")
    values, counts = np.unique(differences, return_counts=True)
    rng, shares, means = np.random.default_rng(seed), counts / counts.sum(), np.empty(resamples)
    chunk = max(1, CHUNK_CELLS // len(values))
    for start in range(0, resamples, chunk):
        drawn = rng.multinomial(len(differences), shares, size=min(chunk, resamples - start))
        means[start : start + len(drawn)] = drawn @ values / len(differences)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(differences.mean()), float(low), float(high))


TEXT_TO_IMAGE, IMAGE_TO_TEXT, MEAN = "text_to_image", "image_to_text", "mean"
DIRECTIONS = (TEXT_TO_IMAGE, IMAGE_TO_TEXT)
Embed = Callable[[Sequence[str]], NDArray[np.float32]]

Figures = dict[str, dict[str, float]]
"""Rows of a table with their columns; shares and differences of shares are in percent."""

Scores = dict[str, dict[str, NDArray[Any]]]
"""Scores of all queries, by row and column of a table."""


@dataclass(frozen=True, slots=True)
class SuiteReport:
    """Results of a suite.

    Attributes:
        figures: metrics of the suite: rows of a table, each with its columns.
        facts: context for the metrics: what was counted, how many there were, and where it came from.
        scores: score of each query from 0 to 1, by row and column of the metrics that are means of scores, for
            comparing two models with ``paired_bootstrap``. Not written to files.
        groups: number of each query's group, by row, where queries are not independent: captions of one image.
    """

    figures: Figures
    facts: dict[str, int | str] = field(default_factory=dict)
    scores: Scores = field(default_factory=dict)
    groups: dict[str, NDArray[np.int64]] = field(default_factory=dict)


class Suites:
    """Runs the suites on the embeddings of one dataset; what several suites need is computed once.

    Args:
        embedded: embeddings of the dataset.
        embed: function that returns the embeddings of texts by the same model, M x D.
        plan: origin of the places and pairs.
        options: options of the command, for the seed.
    """

    def __init__(self, embedded: Embedded, embed: Embed, plan: Plan, options: EvalOptions) -> None:
        self._data, self._embed, self._plan, self._seed = embedded, embed, plan, options.seed
        self._plain: Retrieval | None = None

    def run(self, name: str) -> SuiteReport:
        """Return the metrics of a suite.

        Raises:
            EvaluationError: embeddings are not finite.
        """
        suites: dict[str, Callable[[], SuiteReport]] = {
            RETRIEVAL: self._retrieval,
            LOCALIZATION: self._localization,
            ROBUSTNESS: self._robustness,
            JOINT: self._joint,
            AVERAGING: self._averaging,
            REGIONS: self._regions,
            ALIGNMENT: self._alignment,
        }
        return suites[name]()

    def _whole_captions(self) -> Retrieval:
        if self._plain is None:
            self._plain = self._retrieve(self._data.captions)
        return self._plain

    def _retrieve(self, captions: NDArray[np.float32]) -> Retrieval:
        ks = self._plan.protocol.ks if self._plan.protocol else KS
        return retrieve(self._data.images, captions, self._data.image_of, ks)

    def _retrieval(self) -> SuiteReport:
        found = _directions(self._whole_captions())
        figures = {name: _recalls(hits) for name, hits in found.items()}
        scores = {name: {f"R@{k}": hits.at(k) for k in hits.ks} for name, hits in found.items()}
        return SuiteReport(figures, scores=scores, groups={TEXT_TO_IMAGE: self._data.image_of})

    def _localization(self) -> SuiteReport:
        located = self._data.located
        figures: Figures = {}
        for row, values in (("sentences", located.hits), ("chance", located.chance)):
            means = values.mean(axis=0) if len(values) else np.zeros(len(PATCHES))
            figures[row] = {f"hit@{k}": _percent(mean) for k, mean in zip(PATCHES, means, strict=True)}
        facts: dict[str, int | str] = {
            "places": self._plan.places,
            "sentences": len(located.hits),
            "out_of_view": located.unseen,
        }
        scores = {f"hit@{k}": hits for k, hits in zip(PATCHES, located.hits.T, strict=True)}
        return SuiteReport(figures, facts, {"sentences": scores})

    def _robustness(self) -> SuiteReport:
        captions, unchanged = self._disturbed()
        figures, scores = self._compared(self._retrieve(captions), "disturbed", "drop", -1)
        groups = {TEXT_TO_IMAGE: self._data.image_of}
        return SuiteReport(figures, {"unchanged_captions": unchanged}, scores, groups)

    def _disturbed(self) -> tuple[NDArray[np.float32], int]:
        """Return the embeddings of the disturbed captions, and the number that could not be disturbed."""
        texts = disturb(self._data.split, self._data.image_of, self._seed)
        embeddings = self._data.captions.copy()
        changed = [number for number, text in enumerate(texts) if text is not None]
        if changed:
            embeddings[changed] = self._embed([text for text in texts if text is not None])
        return embeddings, len(texts) - len(changed)

    def _joint(self) -> SuiteReport:
        data = self._data
        texts = np.concatenate([data.captions, data.sentences])
        text_image = np.concatenate([data.image_of, data.sentence_image])
        pictures = np.concatenate([data.images, data.crops])
        picture_image = np.concatenate([np.arange(len(data.images)), data.crop_image])
        scores = {
            TEXT_TO_IMAGE: average_precision(texts, text_image, pictures, picture_image),
            IMAGE_TO_TEXT: average_precision(pictures, picture_image, texts, text_image),
        }
        figures: Figures = {name: {f"mAP@{DEPTH}": _percent(of.mean())} for name, of in scores.items()}
        facts: dict[str, int | str] = {"pairs": self._plan.pairs, "regions": len(data.crops)}
        by_column = {name: {f"mAP@{DEPTH}": of} for name, of in scores.items()}
        groups = {TEXT_TO_IMAGE: text_image, IMAGE_TO_TEXT: picture_image}
        return SuiteReport(figures, facts | {"sentences": len(data.sentences)}, by_column, groups)

    def _averaging(self) -> SuiteReport:
        figures, scores = self._compared(self._retrieve(self._data.averaged), "averaged", "gain", 1)
        return SuiteReport(figures, scores=scores, groups={TEXT_TO_IMAGE: self._data.image_of})

    def _regions(self) -> SuiteReport:
        data = self._data
        figures: Figures = {}
        scores: Scores = {}
        facts: dict[str, int | str] = {"boxes": len(data.given)}
        labels = sorted({label for label, _ in data.given_said if label})
        labelled = [row for row, (label, _) in enumerate(data.given_said) if label]
        if len(labels) > 1:
            texts = self._embed([TEMPLATE.format(label) for label in labels])
            own = np.array([labels.index(data.given_said[row][0]) for row in labelled], dtype=np.int64)
            scores["labels"] = dict(label_hits(data.given[labelled], texts, own))
            figures["labels"] = {name: _percent(hits.mean()) for name, hits in scores["labels"].items()}
            facts |= {"labelled": len(labelled), "labels": len(labels)}
        said = [row for row, (_, sentence) in enumerate(data.given_said) if sentence]
        if said:
            texts = self._embed([data.given_said[row][1] for row in said])
            hits, chance = referring_hits(data.given, data.given_image, data.given_boxes, texts, said)
            facts |= {"sentences": len(hits), "sentences_without_a_choice": len(said) - len(hits)}
            if len(hits):
                scores["sentences"] = {"accuracy": hits}
                figures["sentences"] = {"accuracy": _percent(hits.mean()), "chance": _percent(chance.mean())}
        if not figures:
            why = "no given box has a label that differs from another's, or a sentence with a choice of boxes"
            raise EvaluationError("--suite regions", why, "omit the suite")
        return SuiteReport(figures, facts, scores)

    def _alignment(self) -> SuiteReport:
        return SuiteReport({"captions": alignment(self._data.images, self._data.captions, self._data.image_of)})

    def _compared(self, other: Retrieval, name: str, change: str, sign: int) -> tuple[Figures, Scores]:
        """Return R@1 of the whole captions and of another kind of captions, and their difference.

        Args:
            other: hits of the other kind.
            name: name of the other kind.
            change: name of the difference.
            sign: 1 for the other kind minus the whole captions, -1 for the reverse.

        Returns:
            One row per direction, with the bounds of the paired bootstrap, and one row with their means; and the
            hits of both kinds.
        """
        plain, changed = _directions(self._whole_captions()), _directions(other)
        figures: Figures = {}
        scores: Scores = {}
        for direction in DIRECTIONS:
            before, after = plain[direction].at(1), changed[direction].at(1)
            found = paired_bootstrap(sign * before, sign * after, self._seed)
            bounds = {change: found.difference, f"{change}_low": found.low, f"{change}_high": found.high}
            shares = {"R@1": before.mean(), f"R@1_{name}": after.mean()} | bounds
            figures[direction] = {column: _percent(value) for column, value in shares.items()}
            scores[direction] = {"R@1": before, f"R@1_{name}": after}
        columns = ("R@1", f"R@1_{name}", change)
        figures[MEAN] = {column: _mean([figures[row][column] for row in DIRECTIONS]) for column in columns}
        return figures, scores


def alignment(images: NDArray[Any], captions: NDArray[Any], image_of: NDArray[np.int64]) -> dict[str, float]:
    """Return the cosine of whole captions with their images: mean, standard deviation, and quantiles, times 100.

    FAST-GOAL (arXiv 2605.26615) judges its dataset by the mean, under Long-CLIP ViT-L/14: .2434 for GLIT100k, .2448
    for DOCCI. Numbers of different models can't be compared.

    Args:
        images: N x D, L2-normalised.
        captions: M x D, L2-normalised.
        image_of: M, number of each caption's image.

    Raises:
        EvaluationError: embeddings are not finite or not normalised.
    """
    check_embeddings("image embeddings", images)
    check_embeddings("caption embeddings", captions)
    cosines = np.einsum("md,md->m", captions, images[image_of], dtype=np.float64)
    found = {"mean": cosines.mean(), "std": cosines.std()}
    found |= {f"p{share}": np.quantile(cosines, share / 100) for share in (5, 50, 95)}
    return {f"cosine_{name}": _percent(value) for name, value in found.items()}


def _directions(found: Retrieval) -> dict[str, Hits]:
    return dict(zip(DIRECTIONS, (found.text_to_image, found.image_to_text), strict=True))


def _recalls(hits: Hits) -> dict[str, float]:
    return {f"R@{k}": _percent(hits.recall_at_k(k)) for k in hits.ks}


def _percent(share: float) -> float:
    return round(100 * float(share), 4) + 0.0  # adding 0.0 turns -0.0 into 0.0


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4)
