"""Outcomes of rows whose images are downloaded from a server that fails one request in five, in many ways.

    python benchmarks/faults.py

Prints a Markdown table: fault, rows, outcomes. Fails if a row has an unexpected outcome, or if the rows that were
read aren't exactly those that were written or skipped.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the server of the tests

from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.validate import validate
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.factories import jpeg
from tests.stages.ingest.download.server import FAULTS, Server

EVERY = 5
"""One row in so many fails."""


def write_rows(path: Path, server: Server, count: int) -> list[str]:
    """Write an input, and return each row's fault: every fifth row has one, taken in turn."""
    names = list(FAULTS)
    faults = [
        names[number // EVERY % len(names)] if number % EVERY == EVERY - 1 else "ok" for number in range(count)
    ]
    with path.open("w") as file:
        for number, fault in enumerate(faults):
            row = {"url": server.url(f"{fault}/{number}.jpg"), "caption": f"Picture number {number}."}
            file.write(json.dumps(row) + "\n")
    return faults


def outcomes(folder: str) -> dict[int, str]:
    """Validate the dataset, and return the outcome of each row."""
    store, manifest = open_dataset(folder)
    problems = [str(problem) for problem in validate(store, manifest)]
    if problems:
        sys.exit("\n".join(problems))
    found: dict[int, str] = {}
    for entry in manifest.shards:
        found |= {int(sample.key): "sample" for sample, _ in read_shard(store, entry.name, entry.sha256)}
        found |= {int(skip.key): str(skip.reason) for skip in read_skipped(store, entry.name)}
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--timeout", type=float, default=1.0, help="timeout in seconds without a byte")
    options = parser.parse_args()
    pictures = [jpeg(320, 240, seed=seed) for seed in range(8)]
    with tempfile.TemporaryDirectory() as folder, Server(pictures) as server:
        faults = write_rows(Path(folder) / "rows.jsonl", server, options.rows)
        start = time.perf_counter()
        run_ingest(
            IngestOptions(
                (f"{folder}/rows.jsonl",),
                f"{folder}/out",
                shard_size=100,
                duplicates="keep",  # the server has only a few images
                timeout=options.timeout,
                total_timeout=3 * options.timeout,
                retry_wait=0.1,
                max_download_bytes=4 << 20,
                connections_per_host=64,
                allow_private_hosts=True,  # the server is on this machine; metadata services stay forbidden
            ),
            plain=True,
        )
        seconds = time.perf_counter() - start
        found = outcomes(f"{folder}/out")
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for number, fault in enumerate(faults):
        table[fault][found.pop(number)] += 1
    print("| fault | rows | outcome |\n| --- | ---: | --- |")
    for fault, ends in table.items():
        print(f"| {fault} | {ends.total()} | {', '.join(f'{count} `{end}`' for end, count in ends.items())} |")
    failing = sum(fault != "ok" for fault in faults)
    print(f"\n{len(faults)} rows, {failing} with a fault: {seconds:.1f} s")
    wrong = {
        fault: dict(ends)
        for fault, ends in table.items()
        if not {None if end == "sample" else end for end in ends} <= FAULTS.get(fault, {None})
    }
    if found or wrong:
        sys.exit(f"unexpected rows: {found}; faults with unexpected outcomes: {wrong}")


if __name__ == "__main__":
    main()
