"""Captions the samples of a shard: concurrent requests, outcomes in the order of the samples."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType

from glitbuild.records import Captioned, Rejected, Sample, Skip, SkipReason
from glitbuild.shards.writer import Outcome
from glitbuild.stages.caption.answers import check_answer
from glitbuild.stages.caption.endpoint import Endpoint, Prompt, data_url
from glitbuild.stages.caption.options import CaptionOptions

SAME_ANSWERS = 3
"""Number of different images of a shard from which on the same caption is rejected."""

LONGEST_DETAIL = 500
"""Maximum number of characters of a skipped row's detail."""

log = logging.getLogger(__name__)


class Captioner:
    """Requests the captions of one shard at a time; a context manager that holds the connections.

    Args:
        options: options of the command.
        prompt: prompt of the requests.
        advance: called with 1 for each image that is done.
    """

    def __init__(self, options: CaptionOptions, prompt: Prompt, advance: Callable[[int], None]) -> None:
        self._options, self._prompt, self._advance = options, prompt, advance

    def __enter__(self) -> "Captioner":
        self._runner = asyncio.Runner()
        self._endpoint = Endpoint(self._options, self._prompt.text)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runner.run(self._endpoint.close())
        self._runner.close()

    def caption(self, samples: Sequence[tuple[Sample, bytes]], before: Mapping[str, Sample]) -> list[Outcome]:
        """Return each sample with its caption, or the reason why it has none.

        Args:
            samples: samples of a shard, with their JPEGs.
            before: captioned samples by key, from an earlier run with the same options. If the image is still the
                same, its caption is reused and nothing is requested.

        Raises:
            EndpointError: the endpoint is down; requests in progress are cancelled.
        """
        outcomes = without_same_answers(self._runner.run(self._caption_all(samples, before)))
        for outcome in outcomes:
            if isinstance(outcome, Skip):
                log.debug("skipped %s: %s (%s)", outcome.source.id, outcome.reason, outcome.detail)
        return outcomes

    async def _caption_all(
        self, samples: Sequence[tuple[Sample, bytes]], before: Mapping[str, Sample]
    ) -> list[Outcome]:
        free = asyncio.Semaphore(self._options.concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._caption(sample, jpeg, before.get(sample.key), free))
                    for sample, jpeg in samples
                ]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self._endpoint.check_alive()
        return [task.result() for task in tasks]

    async def _caption(
        self, sample: Sample, jpeg: bytes, before: Sample | None, free: asyncio.Semaphore
    ) -> Outcome:
        if before and before.image.sha256 == sample.image.sha256:
            self._advance(1)
            return replace(sample, caption=before.caption, captioned=before.captioned), jpeg
        async with free:
            try:
                picture = await asyncio.to_thread(data_url, jpeg, self._options.max_side)
                caption = check_answer(await self._endpoint.ask(picture))
            except Rejected as rejected:
                # It may quote the server, whose text may contain half of a surrogate pair.
                detail = rejected.detail[:LONGEST_DETAIL].encode("utf-8", "backslashreplace").decode()
                return Skip(sample.key, sample.source, rejected.reason, detail[:LONGEST_DETAIL])
            finally:
                self._advance(1)
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        captioned = Captioned(self._options.model, self._prompt.sha256, time)
        return replace(sample, caption=caption, captioned=captioned), jpeg


def without_same_answers(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Skip captions given to several different images: they describe none of them.

    Copies of an image may share a caption, and so may two different images, such as consecutive shots.
    """
    pictures: defaultdict[str, set[str]] = defaultdict(set)
    for outcome in outcomes:
        if not isinstance(outcome, Skip):
            pictures[outcome[0].caption].add(outcome[0].image.sha256)
    return [_unless_said_before(outcome, pictures) for outcome in outcomes]


def _unless_said_before(outcome: Outcome, pictures: dict[str, set[str]]) -> Outcome:
    if isinstance(outcome, Skip) or len(pictures[outcome[0].caption]) < SAME_ANSWERS:
        return outcome
    sample, _ = outcome
    detail = f"same answer for {len(pictures[sample.caption])} images of the shard: {sample.caption[:200]}"
    return Skip(sample.key, sample.source, SkipReason.CAPTION_REPEATED, " ".join(detail.split()))
