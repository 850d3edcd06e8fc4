"""Scenes drawn per second on one core, scaling with their number, and statistics of the captions.

    python benchmarks/scenes.py [--seed 1]

A scene is everything that ``glitbuild scenes`` makes: layout, caption, ground truth, image and JPEG. The position
of the first difference in a contrast group is measured in CLIP's tokens, because a model that was not stretched
can't see details past the 77th.
"""

import argparse
import resource
import statistics
import sys
import time

from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.stages.scenes.command import make_sample
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.truth import describe
from glitbuild.stages.scenes.world import GROUP, make_scene

CONTEXT = 77


def speed(options: ScenesOptions) -> float:
    """Return the number of scenes made per second."""
    start = time.perf_counter()
    for index in range(options.count):
        make_sample(options, index)
    return options.count / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    for count in (200, 1000):
        rate = speed(ScenesOptions(count=count, out="unused", seed=seed))
        # The peak memory of the process, which is the same after 200 and 1,000 scenes.
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, kibibytes on Linux
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        print(f"{count:5} scenes: {rate:6.1f} scenes/s on one core, {memory:.0f} MiB at most")
    from open_clip.tokenizer import SimpleTokenizer  # imported late, or torch would count as memory of the scenes

    tokenizer, splitter = SimpleTokenizer(), SentenceSplitter()
    for split in ("train", "val", "test"):
        options = ScenesOptions(count=600, out="unused", seed=seed, split=split)
        rows = [describe(make_scene(options, index)) for index in range(options.count)]
        captions = [caption for caption, _ in rows]
        spans = [[tuple(sentence["span"]) for sentence in truth["sentences"]] for _, truth in rows]
        found = splitter.split(captions)
        right = sum(len(set(own) & set(known)) for own, known in zip(found, spans, strict=True))
        tokens = [tokenizer.encode(caption) for caption in captions]
        late = groups = 0
        for start in range(0, len(rows), GROUP):
            if rows[start][1]["contrast"]:
                groups += 1
                members = tokens[start : start + GROUP]
                # One more for the start-of-text token.
                late += 1 + _first_difference(members) >= CONTEXT
        words = [len(caption.split()) for caption in captions]
        print(
            f"{split:5}: {len(rows)} captions, {statistics.mean(words):.1f} words ({min(words)} to {max(words)}), "
            f"{statistics.mean(map(len, tokens)):.1f} tokens (at most {max(map(len, tokens))}), "
            f"{statistics.mean(map(len, spans)):.1f} sentences ({min(map(len, spans))} to {max(map(len, spans))})"
        )
        print(
            f"       the splitter agrees on {right} of {sum(map(len, spans))} sentences; "
            f"{late} of {groups} contrast groups first differ past token {CONTEXT}"
        )


def _first_difference(texts: list[list[int]]) -> int:
    """Return the first position at which the texts differ."""
    return next(place for place, ids in enumerate(zip(*texts, strict=False)) if len(set(ids)) > 1)


if __name__ == "__main__":
    main()
