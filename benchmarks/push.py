"""Push a dataset of many shards to a Hub on this machine, killing the client three times; count what arrives.

    python benchmarks/push.py [--shards 1000] [--seed 0]

A shard has one small picture. The client is killed at a random object each time: in the middle of its body, or when
it has arrived and the client doesn't know; and once when a commit is made and the client doesn't know.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.publish.hub.folders import REPO, make_dataset
from tests.publish.hub_server import Fault, Hub, serve
from tests.run import GLITBUILD, tree

MADE = {".gitattributes", "README.md", "samples.png"}


def push(hub: Hub, folder: Path, moment: tuple[str, int, str] | None) -> bool:
    """Push in a process that is killed at a request; return whether it came to its end.

    Args:
        hub: the Hub.
        folder: the dataset.
        moment: the kind of request, its number, and whether it is killed in its middle or after it was done.
    """
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_annas", "HF_HUB_DISABLE_XET": "1"}
    process = subprocess.Popen([GLITBUILD, "push", str(folder), REPO], stderr=subprocess.DEVNULL, env=environment)

    def kill() -> None:
        process.kill()
        process.wait()

    def fault(kind: str, number: int) -> Fault | None:
        return Fault(moment[2], then=kill) if moment and (kind, number) == moment[:2] else None

    hub.fault = fault
    return process.wait() == 0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    third = 2 * options.shards // 3  # of the objects: a tar and a table of pairs a shard
    commits = 4 * options.shards // 200
    moments = [
        ("put", chance.randrange(1, third), "middle"),
        ("commit", commits // 2 + 1, "after"),
        ("put", chance.randrange(2 * third, 3 * third), "after"),
    ]
    with tempfile.TemporaryDirectory() as name, serve(Hub()) as hub:
        folder = Path(name) / "data"
        make_dataset(folder, options.shards)
        start = time.perf_counter()
        interruptions = sum(not push(hub, folder, moment) for moment in moments)
        finished = push(hub, folder, None)
        seconds = time.perf_counter() - start
        repo = hub.repos["dataset", REPO]
        files = repo.refs["main"].files
        there = {path: file.content for path, file in files.items() if path not in MADE}
        same = there == tree(folder)
        committed: Counter[tuple[str, str]] = repo.written
        in_commits = f"{committed.total():,} times, in {len(repo.commits) - 1} commits"
        interrupted = f"interrupted {interruptions} times"
        print(f"{options.shards:,} shards, {len(files) - 1:,} files, {interrupted}, {seconds:.1f} s")
        print(f"objects: {len(hub.received):,}, sent {hub.received.total():,} times, {hub.received_bytes:,} bytes")
        print(f"files committed: {len(committed):,}, {in_commits}")
        print(f"requests: {', '.join(f'{number:,} {kind}' for kind, number in sorted(hub.requests.items()))}")
        twice = hub.received.total() - len(hub.received) + committed.total() - len(committed)
        print(f"sent twice: {twice}; finished: {finished}; the repository is the folder: {same}")
    sys.exit(not (finished and same and twice == 0 and interruptions == 3))


if __name__ == "__main__":
    main()
