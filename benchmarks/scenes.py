"""Scenes a second on one core, how it grows with their number, and what the captions are like.

    python benchmarks/scenes.py [--seed 1]

A scene is what ``glitbuild scenes`` makes of it: layout, caption, truth, picture and JPEG. Where a group of scenes
differs is counted in CLIP's tokens: details past the 77th are lost to a model that was not stretched.
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
    """Return how many scenes a second are made."""
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
        # As large as the process has ever been: the same after 200 and 1,000 scenes.
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kibibytes on Linux
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        print(f"{count:5} scenes: {rate:6.1f} scenes/s on one core, {memory:.0f} MiB at most")
    from open_clip.tokenizer import SimpleTokenizer  # only now: torch would count as memory of the scenes

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
                # One more for the token that starts the text.
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
    """Return the first place at which not all texts are the same."""
    return next(place for place, ids in enumerate(zip(*texts, strict=False)) if len(set(ids)) > 1)


if __name__ == "__main__":
    main()
