"""Kill ``match`` at random moments, driver and workers alike; whenever a run gets to its end, compare the bytes.

    GLITBUILD_ASSETS=... python benchmarks/chaos.py [--kills 10] [--seed 0]

The photographs of the assets, in shards of three, with the real detector and random CLIP weights. A run is
killed a random moment after it has begun a shard, or has finished up to four more.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import open_clip
import psutil
import torch

GLITBUILD = str(Path(sys.executable).with_name("glitbuild"))
MODEL = "ViT-S-32-alt"


def kill_after(command: list[str], out: Path, more: int, delay: float) -> bool:
    """Run a command and kill it with all its descendants; return False where it ended before.

    Args:
        command: the words.
        out: the directory it writes.
        more: shards to wait for; 0 waits until one is being written.
        delay: seconds to wait then.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = _done(out)
    while process.poll() is None:
        if any(out.glob("shards/.*")) if more == 0 else _done(out) >= before + more:
            time.sleep(delay)
            break
        time.sleep(0.001)
    if process.poll() is not None:
        return False
    main = psutil.Process(process.pid)
    family = [main, *main.children(recursive=True)]
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(family, timeout=30)
    return True


def _done(out: Path) -> int:
    return len(list(out.glob("shards/*.json")))


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, default=os.environ.get("GLITBUILD_ASSETS", "../shared/assets"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        torch.save(open_clip.create_model(MODEL, pretrained=None).state_dict(), folder / "clip.pt")
        ingest = [GLITBUILD, "ingest", str(options.assets / "photos" / "captions.jsonl"), "--shard-size", "3"]
        subprocess.run([*ingest, "--out", str(folder / "raw")], check=True, stdout=subprocess.DEVNULL)
        match = [GLITBUILD, "match", str(folder / "raw"), "--detector", str(options.assets / "yolov8n.pt")]
        match += ["--clip-model", MODEL, "--clip-pretrained", str(folder / "clip.pt"), "--workers", "2", "--out"]
        start = time.monotonic()
        subprocess.run([*match, str(folder / "whole")], check=True, stdout=subprocess.DEVNULL)
        whole = time.monotonic() - start
        out, kills, finished, same = folder / "out", 0, 0, True
        while kills < options.kills or not finished:
            last = kills == options.kills
            more, delay = (10**6 if last else chance.randint(0, 4)), chance.uniform(0, 1.5)
            if kill_after([*match, str(out)], out, more, delay):
                kills += 1
                print(f"kill {kills}: {_done(out)} of 12 shards done", flush=True)
                finished = 0
                continue
            finished += 1
            same = same and _tree(out) == _tree(folder / "whole")
            shutil.rmtree(out)
    print(f"a whole run: {whole:.0f} s; killed {kills} times; the same bytes: {same}")
    sys.exit(not same)


if __name__ == "__main__":
    main()
