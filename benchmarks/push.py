"""Push a dataset of many shards to a Hub on this machine, killing the client three times; count what arrives.

    python benchmarks/push.py [--shards 1000] [--kib 100] [--seed 0]

Four rows: ``glitbuild push`` and the client's own ``upload_folder``, each over LFS (``HF_HUB_DISABLE_XET=1``) and over
Xet. ``upload_folder`` is used as well as it can be: what says that a dataset is whole goes last, by a call of its own,
and a killed call is made again. A shard has one small picture and random bytes. The client is killed in the middle of
the body of an object when a third of the data has arrived, when a commit is made and the client doesn't know, after
half of the data, and when an object has arrived and the client doesn't know, near the end. Then each pushes
once more, to a new repository, uninterrupted: that gives the seconds and the memory.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from glitbuild.shards.layout import MANIFEST, SIZES
from tests.publish.hub.folders import REPO, make_dataset
from tests.publish.hub_server import Fault, Hub, serve
from tests.run import GLITBUILD, tree

MADE = {".gitattributes", "README.md", "samples.png"}

SECONDS = {"commit": 2.0, "put": 0.02, "xorb": 0.02, "preupload": 0.1, "batch": 0.1, "tree": 0.1}
"""How long the Hub takes to answer in the uninterrupted push, by kind of request."""

CLIENTS = {"glitbuild push": [GLITBUILD, "push"], "upload_folder": [sys.executable, __file__, "--upload-folder"]}


def upload_folder(folder: str, repo: str) -> None:
    """Push with the client's own function, in this process."""
    from huggingface_hub import HfApi

    last, api = [MANIFEST, SIZES], HfApi()
    api.create_repo(repo, repo_type="dataset", exist_ok=True)
    at = {"repo_id": repo, "repo_type": "dataset", "folder_path": folder}
    api.upload_folder(**at, ignore_patterns=list(last))
    api.upload_folder(**at, allow_patterns=last)


class Push:
    """A push in a process of its own.

    Args:
        hub: where to.
        client: which of ``CLIENTS``.
        folder: the dataset.
        storage: ``lfs`` or ``xet``.
    """

    def __init__(self, hub: Hub, client: str, folder: Path, storage: str) -> None:
        self._hub, self._seconds = hub, 0.0
        environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_annas", "HF_HOME": f"{folder}-{client}-{storage}"}
        environment["HF_HUB_DISABLE_XET"] = str(int(storage == "lfs"))
        self._call = lambda: subprocess.Popen(
            [*CLIENTS[client], str(folder), REPO],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )

    def killed(self, moment: Callable[[str], bool], where: str) -> bool:
        """Kill it at the first request where ``moment`` says so; return whether it was."""
        process, hit = self._call(), False

        def kill() -> None:
            process.kill()
            process.wait()

        def fault(kind: str, number: int) -> Fault | None:
            nonlocal hit
            if hit or not moment(kind):
                return None
            hit = True
            return Fault(where, then=kill)

        self._hub.fault = fault
        return process.wait() != 0 and hit

    def finished(self) -> tuple[bool, float, float]:
        """Let it end; return whether that was well, its seconds, and its peak of memory in MiB."""
        self._hub.fault = lambda kind, number: None
        start, process = time.perf_counter(), self._call()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return status == 0, time.perf_counter() - start, usage.ru_maxrss / 1024


def measure(client: str, storage: str, folder: Path, seed: int) -> bool:
    """Push three times killed and once whole, then once more to another Hub; print what came of it."""
    contents = tree(folder)
    total, chance = sum(map(len, contents.values())), random.Random(seed)
    thirds = [chance.uniform(low, high) * total for low, high in ((0.2, 0.4), (0.45, 0.6), (0.75, 0.9))]
    with serve(Hub()) as hub:
        push = Push(hub, client, folder, storage)
        objects = ("put", "xorb")
        kills = [
            push.killed(lambda kind: kind in objects and hub.received_bytes >= thirds[0], "middle"),
            push.killed(lambda kind: kind == "commit" and hub.received_bytes >= thirds[1], "after"),
            push.killed(lambda kind: kind in objects and hub.received_bytes >= thirds[2], "after"),
        ]
        finished, _, _ = push.finished()
        repo = hub.repos["dataset", REPO]
        files = repo.refs["main"].files
        same = {path: file.content for path, file in files.items() if path not in MADE} == contents
        again = hub.received.total() - len(hub.received)
        again_bytes = hub.received_bytes - total
        objects_sent, commits = hub.received.total(), len(repo.commits) - 1
        committed = repo.written
        largest = max((sum(new.files.get(p) is not old.files.get(p) for p in new.files) for old, new in zip(repo.commits, repo.commits[1:])), default=0)
    with serve(Hub()) as hub:
        hub.check = lambda kind, number: time.sleep(SECONDS.get(kind, 0.0))
        _, seconds, memory = Push(hub, client, folder, storage).finished()
    twice = again + committed.total() - len(committed)
    print(
        f"{client:15} {storage}  {sum(kills)} kills  {len(hub.received):6,} objects sent {objects_sent:6,} times "
        f"({again_bytes / 1e6:+.1f} MB)  {len(committed):,} files committed {committed.total():,} times in "
        f"{commits:,} commits, {largest:,} in the largest  sent twice: {twice}  finished: {finished}  the repository is the folder: {same}"
        f"  uninterrupted {seconds:.1f} s, {memory:.0f} MiB",
        flush=True,
    )
    return finished and same and twice == 0 and sum(kills) == 3


def main() -> None:
    """Run and print."""
    if sys.argv[1:2] == ["--upload-folder"]:
        return upload_folder(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--kib", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        make_dataset(folder, options.shards, padding=options.kib << 10)
        kept = [measure(client, storage, folder, options.seed) for client in CLIENTS for storage in ("lfs", "xet")]
    sys.exit(not all(kept[:2]))


if __name__ == "__main__":
    main()
