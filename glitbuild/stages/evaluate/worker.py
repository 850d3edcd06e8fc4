"""The worker of ``eval``: embeddings of shards, and of texts that only the whole dataset tells."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from glitbuild.clip.encoder import ClipEncoder
from glitbuild.clip.load import ClipSpec
from glitbuild.engine.each_shard import ReadTask
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.collect import embed_shard
from glitbuild.stages.evaluate.embedded import Embedded
from glitbuild.stages.evaluate.plan import Plan


@dataclass(frozen=True, slots=True)
class TextTask:
    """Texts to embed; ``shard`` is what they are called in messages."""

    shard: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvalPlan:
    """All a worker needs to know; small and picklable.

    Attributes:
        source: URL of the dataset.
        spec: the model.
        plan: what is needed of a shard.
        context_length: tokens of a text that are read.
        batch_size: images or texts that are computed together.
        device: ``cpu`` or ``cuda``.
        threads: for decoding beside the model.
    """

    source: str
    spec: ClipSpec
    plan: Plan
    context_length: int
    batch_size: int
    device: str
    threads: int


class EvalWorker:
    """Embeds shards and texts.

    Raises:
        ModelError: the model can't be had, or is of a kind not supported.
    """

    def __init__(self, plan: EvalPlan) -> None:
        self._plan, self._store = plan, Store(plan.source)
        size = plan.batch_size
        self._encoder = ClipEncoder(
            plan.spec,
            plan.device,
            image_batch=size,
            text_batch=size,
            context_length=plan.context_length,
            patches=True,
        )

    def run(self, task: ReadTask | TextTask) -> tuple[str, Embedded | NDArray[Any]]:
        """Return the task's name with the embeddings: of a shard, or M x D of M texts."""
        if isinstance(task, TextTask):
            return task.shard, self._encoder.texts(self._encoder.tokenize(task.texts))
        plan = self._plan
        return task.shard, embed_shard(
            self._encoder, plan.plan, self._store, task.entry, plan.batch_size, plan.threads
        )
