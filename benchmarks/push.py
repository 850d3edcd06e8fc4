"""Push a dataset of many shards to a Hub on this machine, kill the client three times, and count what arrives.

    python benchmarks/push.py [--shards 48] [--kib 12288] [--seed 0]

The table has four rows: ``glitbuild push`` and huggingface_hub's own ``upload_folder``, each over LFS and over Xet.
``upload_folder`` is used as well as possible: the files that mark a dataset as complete are sent last, with a
separate call, and a killed call is repeated. A shard has one small image followed by random bytes.

The client is killed in the middle of an object when about a third of the data has arrived; after a commit whose
response it hasn't received, when about half has; and after an object whose response it hasn't received, near the
end. Then each client pushes to two new Hubs: one that loses its response to the first commit, and one as slow as a
distant Hub, which gives the seconds, from the first request to the last, and the memory.

Exits with 1 if ``glitbuild push`` doesn't complete, or resends more than an interruption may cost.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from glitbuild.shards.layout import MANIFEST, SIZES
from glitbuild.stages.publish.hub.remote import GROUP_BYTES
from tests.run import GLITBUILD, tree
from tests.stages.publish.hub.folders import REPO, make_dataset
from tests.stages.publish.hub_server import Fault, Hub, serve

NULL = subprocess.DEVNULL

MADE = {".gitattributes", "README.md", "samples.png"}

SECONDS = {"commit": 2.0, "put": 0.02, "xorb": 0.02, "preupload": 0.1, "batch": 0.1, "tree": 0.1}
"""Response time of the Hub in the uninterrupted push, by kind of request."""

CLIENTS = {"glitbuild push": [GLITBUILD, "push"], "upload_folder": [sys.executable, __file__, "--upload-folder"]}


STORAGES = ("lfs", "xet")

OBJECTS = ("put", "xorb")

AGAIN = {"lfs": 0, "xet": 2 * GROUP_BYTES}
"""Bytes that may be resent after two kills during objects."""


def upload_folder(folder: str, repo: str) -> None:
    """Push with huggingface_hub's own function, in this process."""
    from huggingface_hub import HfApi

    api, last = HfApi(), [MANIFEST, SIZES]
    api.create_repo(repo, repo_type="dataset", exist_ok=True)
    api.upload_folder(repo_id=repo, repo_type="dataset", folder_path=folder, ignore_patterns=[*last])
    api.upload_folder(repo_id=repo, repo_type="dataset", folder_path=folder, allow_patterns=last)


def push(hub: Hub, client: str, storage: str, folder: Path, home: Path) -> "subprocess.Popen[bytes]":
    """Start a push in a separate process, with its cache in ``home``."""
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_annas", "HF_HOME": str(home)}
    environment["HF_HUB_DISABLE_XET"] = str(int(storage == "lfs"))
    return subprocess.Popen([*CLIENTS[client], str(folder), REPO], stdout=NULL, stderr=NULL, env=environment)


def measure(client: str, storage: str, folder: Path, seed: int) -> bool:
    """Push with kills and then to the end, then push again to two other Hubs; print the results."""
    contents = {path: hashlib.sha256(content).digest() for path, content in tree(folder).items()}
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    chance, home = random.Random(seed), Path(tempfile.mkdtemp(dir=folder.parent))
    kill_at = [
        (OBJECTS, chance.uniform(0.2, 0.4), "middle"),
        (("commit",), chance.uniform(0.4, 0.6), "after"),
        (OBJECTS, chance.uniform(0.7, 0.9), "after"),
    ]
    with serve(Hub()) as hub:
        kills = sum(killed(hub, push(hub, client, storage, folder, home), total, *moment) for moment in kill_at)
        hub.fault = lambda kind, number: None
        finished = push(hub, client, storage, folder, home).wait() == 0
        repo = hub.repos["dataset", REPO]
        files = {path: file for path, file in repo.refs["main"].files.items() if path not in MADE}
        same = {path: hashlib.sha256(file.content).digest() for path, file in files.items()} == contents
        sizes = {hashlib.sha256(x).hexdigest(): len(x) for each in hub.xorbs.values() for x in each}
        sizes |= {sha256: len(content) for sha256, content in repo.storage.items()}
        again = sum(sizes[sha256] * (times - 1) for sha256, times in hub.received.items())
        commits, written = len(repo.commits) - 1, repo.written
    with serve(Hub()) as hub:
        hub.fault = lambda kind, number: Fault("after") if (kind, number) == ("commit", 1) else None
        survived = push(hub, client, storage, folder, home / "lost").wait() == 0
        posted = hub.requests["commit"]
    with serve(Hub()) as hub:
        moments: list[float] = []

        def check(kind: str, number: int) -> None:
            moments.append(time.perf_counter())
            time.sleep(SECONDS.get(kind, 0.0))

        hub.check = check
        memory = peak(push(hub, client, storage, folder, home / "slow"))
        seconds = moments[-1] - moments[0]
    print(
        f"| {client} | {storage} | {kills} | {again / 1e6:.1f} | {len(written):,} | {written.total():,} "
        f"| {commits} | {survived}, {posted} posted | {finished and same} | {seconds:.1f} | {memory / 2**20:.0f} |",
        flush=True,
    )
    return finished and same and survived and again <= AGAIN[storage] and written.total() == len(written)


def killed(
    hub: Hub, process: "subprocess.Popen[bytes]", total: int, kinds: Sequence[str], share: float, where: str
) -> bool:
    """Kill a push at its first request of a kind after a share of all bytes has arrived; return whether it was."""

    def kill() -> None:
        process.kill()
        process.wait()

    def fault(kind: str, number: int) -> Fault | None:
        if kind not in kinds or hub.received_bytes < share * total:
            return None
        return Fault(where, then=kill)

    hub.fault = fault
    return process.wait() != 0


def peak(process: "subprocess.Popen[bytes]") -> int:
    """Wait for a process; return its peak private memory in bytes, which excludes mapped files."""
    most = 0
    while process.poll() is None:
        with suppress(psutil.Error):
            memory = psutil.Process(process.pid).memory_info()
            most = max(most, memory.rss - memory.shared)
        time.sleep(0.05)
    return most


def main() -> None:
    """Run and print."""
    if sys.argv[1:2] == ["--upload-folder"]:
        return upload_folder(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=48)
    parser.add_argument("--kib", type=int, default=12288)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        make_dataset(folder, options.shards, padding=options.kib << 10)
        print(
            "| client | storage | kills | MB resent | files | times committed | commits | survives a lost "
            "response | repository equals folder | s | MiB |\n|" + "---|" * 11
        )
        kept = [measure(client, storage, folder, options.seed) for client in CLIENTS for storage in STORAGES]
    sys.exit(not all(kept[: len(STORAGES)]))


if __name__ == "__main__":
    main()
