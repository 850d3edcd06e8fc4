"""Compare sentence splitters on captions: precision, recall and F1 of the boundaries, and speed.

Usage, in an environment with ``benchmarks/requirements-splitters.txt``, from the repository's root::

    PYTHONPATH=. python benchmarks/splitters.py --assets ../shared/assets

``ASSETS/captions`` contains the captions that ``tests/flism/data/sentence_labels.jsonl`` refers to; the written
examples are complete in ``sentence_examples.jsonl`` next to it. Prints Markdown; ``--only NAME`` measures only one
splitter.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from splitters_compared import SPLITTERS, Split, build_ours

LABELS = Path(__file__).parent.parent / "tests/flism/data/sentence_labels.jsonl"
EXAMPLES = LABELS.with_name("sentence_examples.jsonl")
MARK = "¦"
"""Character that marks the boundaries in the written examples."""

FILES = ("docci_1000", "iiw_200")
OTHERS = ("hard", "random", "later", "at stops")
"""Further columns; ``at stops`` omits every boundary after a letter, digit or comma."""


def boundaries(texts: Iterable[str]) -> set[int]:
    """Return the ends of sentences, except for the last, counted in non-whitespace characters."""
    ends, length = set(), 0
    for text in texts:
        length += len("".join(text.split()))
        ends.add(length)
    return ends - {0, length}


def without_stop(caption: str) -> set[int]:
    """Return the positions after a letter, digit or comma, counted in non-whitespace characters."""
    solid = "".join(caption.split())
    return {i + 1 for i, character in enumerate(solid) if character.isalnum() or character == ","}


def scores(pairs: Iterable[tuple[set[int], set[int]]]) -> list[float]:
    """Return precision, recall and F1, in percent, of (found, labelled) boundaries."""
    pairs = list(pairs)
    both = sum(len(found & labelled) for found, labelled in pairs)
    found_n, labelled_n = (sum(len(pair[k]) for pair in pairs) for k in (0, 1))
    precision, recall = (100 * both / n if n else 0.0 for n in (found_n, labelled_n))
    return [precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0]


def seconds(split: Split, captions: Sequence[str]) -> float:
    """Return the shortest duration of three runs over the captions, after an untimed one."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        for texts in split(captions):
            list(texts)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def read(assets: Path) -> tuple[dict[tuple[str, str], str], list[dict[str, Any]]]:
    """Return the captions by file and id, and the rows of labels, after verifying their captions.

    Raises:
        ValueError: a caption differs from the labelled one.
    """
    captions = {}
    for file in FILES:
        for line in (assets / "captions" / f"{file}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            captions[file, row["id"]] = row["caption"]
    labels = [json.loads(line) for line in LABELS.read_text("utf-8").splitlines()]
    for row in labels:
        if hashlib.sha256(captions[row["file"], row["id"]].encode()).hexdigest() != row["sha256"]:
            raise ValueError(f"{row['file']} {row['id']}: differs from the labelled caption")
    return captions, labels


def examples(splitters: dict[str, Callable[[], Split]]) -> str:
    """Return the table of F1 on the written examples, by their case and split."""
    rows = [json.loads(line) for line in EXAMPLES.read_text("utf-8").splitlines()]
    labelled = [boundaries(row["marked"].split(MARK)) for row in rows]
    texts = [row["marked"].replace(MARK, "") for row in rows]
    found = {name: [boundaries(sentences) for sentences in build()(texts)] for name, build in splitters.items()}
    parts: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        for part in ("all", row["split"], f"{row['case']}, {row['split']}"):
            parts.setdefault(part, []).append(i)
    lines = []
    for part, members in parts.items():
        n = sum(len(labelled[i]) for i in members)
        f1s = [f"{scores((ours[i], labelled[i]) for i in members)[2]:.1f}" for ours in found.values()]
        whole = [f"{sum(ours[i] == labelled[i] for i in members)}" for ours in found.values()]
        cells = [f"{f1} ({exact})" for f1, exact in zip(f1s, whole, strict=True)]
        lines.append([part, str(len(members)), str(n), *cells])
    return table(["written examples", "examples", "boundaries", *found], lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def measure(
    captions: dict[tuple[str, str], str],
    labels: Sequence[dict[str, Any]],
    total: int,
    splitters: dict[str, Callable[[], Split]],
) -> tuple[dict[str, dict[str, list[float]]], dict[str, float]]:
    """Return each splitter's scores by group of captions, and its speed in sentences per second.

    Args:
        captions: all captions, by file and id.
        labels: rows of labels.
        total: number of sentences in all captions, the same for every splitter.
        splitters: function that builds each splitter, by name.
    """
    texts = [captions[row["file"], row["id"]] for row in labels]
    labelled = [boundaries(c[a:b] for a, b in row["spans"]) for c, row in zip(texts, labels, strict=True)]
    result, speeds = {}, {}
    for name, build in splitters.items():
        split = build()
        found = [boundaries(sentences) for sentences in split(texts)]
        result[name] = {
            group: scores((found[i], labelled[i]) for i in members) for group, members in groups(labels).items()
        }
        at_stops = ((f - w, n - w) for f, n, w in zip(found, labelled, map(without_stop, texts), strict=True))
        result[name]["at stops"] = scores(at_stops)
        speeds[name] = total / seconds(split, list(captions.values()))
    return result, speeds


def groups(labels: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    """Return the indices of the rows of each split, group and hard case, and of all rows."""
    found: dict[str, list[int]] = {}
    for i, row in enumerate(labels):
        for group in (row["split"], "all", row["group"], *("case: " + case for case in row["cases"])):
            found.setdefault(group, []).append(i)
    return found


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("GLITBUILD_ASSETS", "../shared/assets")
    parser.add_argument("--assets", type=Path, default=Path(default), help="folder that contains captions/")
    parser.add_argument("--only", choices=list(SPLITTERS), help="measure only this splitter")
    args = parser.parse_args()
    captions, labels = read(args.assets)
    splitters = {args.only: SPLITTERS[args.only]} if args.only else SPLITTERS
    total = sum(len(list(texts)) for texts in build_ours()(list(captions.values())))
    result, speeds = measure(captions, labels, total, splitters)

    for group in ("all", "hard", "random", "later", "dev", "test"):
        members = groups(labels)[group]
        n = sum(len(labels[i]["spans"]) - 1 for i in members)
        print(f"* {group}: {len(members)} captions, {n} boundaries")
    print(f"* speed: {len(captions)} captions, {total} sentences\n")
    parts = ("dev", "test", "all")
    rows = []
    for name, by_group in result.items():
        cells = [f"{x:.1f}" for part in parts for x in by_group[part]]
        cells += [f"{by_group[group][2]:.1f}" for group in OTHERS]
        rows.append([name, *cells, f"{speeds[name]:,.0f}"])
    header = [f"{part} {score}" for part in parts for score in ("P", "R", "F1")]
    print(table(["splitter", *header, *(f"{group} F1" for group in OTHERS), "sentences/s"], rows))
    print("\nF1 on the captions with each case:\n")
    cases = {case: members for case, members in sorted(groups(labels).items()) if case.startswith("case: ")}
    rows = []
    for case, members in cases.items():
        n = sum(len(labels[i]["spans"]) - 1 for i in members)
        f1s = [f"{by_group[case][2]:.1f}" for by_group in result.values()]
        rows.append([case.removeprefix("case: "), str(len(members)), str(n), *f1s])
    print(table(["case", "captions", "boundaries", *result], rows))
    print("\nF1 on the written examples; in brackets, the number that are completely correct:\n")
    print(examples(splitters))


if __name__ == "__main__":
    main()
