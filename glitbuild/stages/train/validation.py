"""Validation during a training: losses and retrieval on another dataset, and the best model so far."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from glitbuild.clip.saved import save_model
from glitbuild.errors import DatasetError
from glitbuild.retrieval import retrieve
from glitbuild.stages.train.data import Batches, load
from glitbuild.stages.train.losses import Features, Group, Objective
from glitbuild.stages.train.optim import joined, parts_of
from glitbuild.stages.train.plan import Place, Plan

K = 1
DIRECTIONS = ("text_to_image", "image_to_text")
MEAN = f"val_recall_at_{K}"
"""Name of the metric that decides which model is the best: recall@1 in percent, the mean of both directions."""

BEST = "best"
"""Name of the folder with the best model, in the run's folder."""

ABOUT = "validation.json"


@dataclass(frozen=True, slots=True)
class Validation:
    """Evaluates a model in training on a dataset, as all processes of the training together.

    Every process embeds its part of each batch, and the rows of all are gathered, so the metrics don't depend on
    the number of processes. The order of the samples is fixed, because the contrastive losses depend on which
    samples share a batch.

    Attributes:
        batches: dataset of the batches.
        plan: order of the samples; its batches are as large as those of the training if the dataset fills them.
        views: module that computes the features of a batch, at least ``image`` and ``text``.
        objective: function that computes the losses of the features.
        group: processes of the training.
        device: torch device.
        workers: number of data loading processes.
        parts: number of parts in which a batch is computed.
        dataset: identity of the dataset.
    """

    batches: Batches
    plan: Plan
    views: nn.Module
    objective: Objective
    group: Group
    device: str
    workers: int
    parts: int
    dataset: str

    @torch.no_grad()
    def run(self, model: nn.Module, computing: Callable[[], AbstractContextManager[Any]]) -> dict[str, float]:
        """Return the losses, averaged over the samples, and recall@1 in percent, by the names they have in the log.

        Args:
            model: model in training; in evaluation mode during the call.
            computing: factory of the context in which the model computes, such as autocast.

        Raises:
            DatasetError: a sample can't be read.
            EvaluationError: embeddings are not finite.
        """
        sums: dict[str, float] = {}
        images, texts, count = [], [], 0
        model.eval()
        try:
            batches = load(self.batches, self._places(), self.workers, self.device != "cpu")
            for step, batch in enumerate(batches):
                shares, here = self.plan.shares(step), batch.to(self.device)
                with computing():
                    features = joined([self.views(part) for part in parts_of(here, self.parts)])
                losses = self.objective(features, shares)
                means = self.group.table(torch.stack([value.double() for value in losses.values()])).mean(dim=0)
                for name, mean in zip(losses, means.tolist(), strict=True):
                    sums[name] = sums.get(name, 0.0) + mean * sum(shares)
                images.append(self._rows(features, "image", shares))
                texts.append(self._rows(features, "text", shares))
                count += sum(shares)
        finally:
            model.train()
        found = {f"val_{name}": total / count for name, total in sums.items()}
        return found | self._recall(np.concatenate(images), np.concatenate(texts))

    def _places(self) -> Iterator[list[Place]]:
        return self.plan.of_epoch(0, self.group.rank)

    def _rows(self, features: Features, name: str, shares: Sequence[int]) -> Any:
        rows = self.group.rows(normalize(features[name].float(), dim=-1), shares)
        return rows.cpu().numpy()

    def _recall(self, images: Any, texts: Any) -> dict[str, float]:
        # Captions whose images have the same bytes are captions of one image.
        digests = self.batches.digests(self.plan.order(0))
        _, first, image_of = np.unique(digests, return_index=True, return_inverse=True)
        found = retrieve(images[first], texts, image_of)
        shares = [100 * hits.recall_at_k(K) for hits in (found.text_to_image, found.image_to_text)]
        by_direction = {f"val_{name}_recall_at_{K}": share for name, share in zip(DIRECTIONS, shares, strict=True)}
        return by_direction | {MEAN: sum(shares) / len(shares)}


class Best:
    """The best model of a run, in a folder that ``eval`` and all other commands accept.

    A model takes the place of an earlier one only once it is complete.

    Args:
        run: folder of the run.
        dataset: identity of the validation dataset; a model that was the best on another one doesn't count.

    Attributes:
        step: step of the best model; None if there is none yet.
        metrics: its metrics.
    """

    def __init__(self, run: Path, dataset: str) -> None:
        self._folder, self._old = run / BEST, run / f".{BEST}.old"
        if self._old.exists() and not self._folder.exists():  # a kill between the two renames
            self._old.replace(self._folder)
        self._dataset = dataset
        self.step: int | None = None
        self.metrics: dict[str, float] = {}
        self._read()

    def _read(self) -> None:
        path = self._folder / ABOUT
        if not path.exists():
            return
        try:
            found = json.loads(path.read_text())
            if found["dataset"] == self._dataset:
                self.step, self.metrics = int(found["step"]), dict(found["metrics"])
        except (ValueError, KeyError, TypeError) as error:
            raise DatasetError(str(path), f"damaged ({error!r})", f"remove {self._folder}") from error

    def offer(self, step: int, metrics: dict[str, float], model: Any, config: dict[str, Any]) -> None:
        """Keep a model if it is better than all before it.

        Args:
            step: number of steps that it was trained for.
            metrics: metrics that ``Validation.run`` returned.
            model: open_clip model.
            config: configuration of its architecture.
        """
        if self.step is not None and metrics[MEAN] <= self.metrics[MEAN]:
            return
        partial = self._folder.with_name(f".{BEST}.part")
        for folder in (partial, self._old):
            if folder.exists():
                shutil.rmtree(folder)
        partial.mkdir()
        save_model(partial, model, config)
        about = {"step": step, "dataset": self._dataset, "metrics": metrics}
        (partial / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
        if self._folder.exists():
            self._folder.replace(self._old)
        partial.replace(self._folder)
        shutil.rmtree(self._old, ignore_errors=True)
        self.step, self.metrics = step, metrics
