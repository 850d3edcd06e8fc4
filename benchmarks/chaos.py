"""Kill a command, driver and workers alike, at random moments, and compare the bytes whenever a run completes.

    python benchmarks/chaos.py ingest [--kills 200] [--seed 0] [--workers N]
    GLITBUILD_ASSETS=... python benchmarks/chaos.py match [--kills 10] [--seed 0]

``ingest`` reads a table of small images in shards of five: with repeated and resized images, repeated ids, damaged
images and lines that are not JSON. Without ``--workers``, it runs in threads of one process. ``match`` uses the
photographs of the assets in shards of three, with the real detector and random CLIP weights.

A run is killed a random time after it has completed or rewritten its first shard; one in four runs a random time
after its start, which may be earlier. A run whose shards are all complete rewrites the shards that hold duplicates,
or the manifest.
"""

import argparse
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

GLITBUILD = str(Path(sys.executable).with_name("glitbuild"))
MODEL = "ViT-S-32-alt"


def kill_after(command: list[str], out: Path, seconds: float, early: bool) -> bool:
    """Run a command and kill it with all its descendants; return False if it had ended before.

    Args:
        command: words of the command.
        out: directory that the command writes.
        seconds: time to wait before killing it.
        early: whether to wait from the start, instead of from the moment when the first shard is complete.
    """
    before = _sidecars(out)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not early and process.poll() is None and not _sidecars(out) - before:
        time.sleep(0.002)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        main = psutil.Process(process.pid)
        family = [main, *main.children(recursive=True)]
        for member in family:
            try:
                member.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        process.wait()
        psutil.wait_procs(family, timeout=30)
    if process.returncode > 0:
        sys.exit(f"{command} ended with {process.returncode}: {process.stderr.read() if process.stderr else ''}")
    return process.returncode < 0


def _sidecars(out: Path) -> set[tuple[Path, int]]:
    """Return the sidecars, each with the time at which it was written."""
    found: set[tuple[Path, int]] = set()
    for path in out.glob("shards/[0-9]*.json"):
        with suppress(FileNotFoundError):  # the shard is being replaced
            found.add((path, path.stat().st_mtime_ns))
    return found


def _done(out: Path) -> int:
    return len(list(out.glob("shards/[0-9]*.json")))


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _picture(number: int, side: int = 96) -> bytes:
    """Return a JPEG of a few smooth spots, which are the same at any size."""
    spots = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(spots).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_table(folder: Path, rows: int, chance: random.Random) -> Path:
    """Write a table of images in which one row in three is damaged or repeats another."""
    (folder / "pictures").mkdir()
    lines: list[str] = []
    for number in range(rows):
        name, id, data = f"pictures/{number}.jpg", f"row {number}", _picture(number)
        other = chance.randrange(number) if number else 0
        match chance.randrange(24):
            case 0 | 1:
                data = _picture(other)
            case 2 | 3:
                data = _picture(other, 160)
            case 4:
                id = f"row {other}"
            case 5:
                data = data[: len(data) // 2]
            case 6:
                data = b""
            case 7:
                name = f"pictures/none {number}.jpg"
        if "none" not in name:
            (folder / name).write_bytes(data)
        line = json.dumps({"id": id, "image": name, "caption": f"Spots, number {number}."})
        lines.append(line[:-9] if chance.randrange(24) == 0 else line)
    (folder / "rows.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder / "rows.jsonl"


def ingest_command(folder: Path, rows: int, workers: int, seed: int) -> list[str]:
    """Write the input, and return the command without its output directory."""
    command = [GLITBUILD, "ingest", str(write_table(folder, rows, random.Random(seed))), "--shard-size", "5"]
    return [*command, "--duplicates", "near", "--workers", str(workers), "--out"]


def match_command(folder: Path, assets: Path) -> list[str]:
    """Prepare the input and the models, and return the command without its output directory."""
    import open_clip
    import torch

    torch.manual_seed(0)
    torch.save(open_clip.create_model(MODEL, pretrained=None).state_dict(), folder / "clip.pt")
    ingest = [GLITBUILD, "ingest", str(assets / "photos" / "captions.jsonl"), "--shard-size", "3"]
    subprocess.run([*ingest, "--out", str(folder / "raw")], check=True, stdout=subprocess.DEVNULL)
    match = [GLITBUILD, "match", str(folder / "raw"), "--detector", str(assets / "yolov8n.pt")]
    return [*match, "--clip-model", MODEL, "--clip-pretrained", str(folder / "clip.pt"), "--workers", "2", "--out"]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("ingest", "match"))
    parser.add_argument("--assets", type=Path, default=os.environ.get("GLITBUILD_ASSETS", "../shared/assets"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=300, help="number of rows in the table that ingest reads")
    parser.add_argument(
        "--workers", type=int, default=0, help="number of ingest workers; 0 for threads in one process"
    )
    options = parser.parse_args()
    chance = random.Random(options.seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.stage == "ingest":
            command = ingest_command(folder, options.rows, options.workers, options.seed)
        else:
            command = match_command(folder, options.assets)
        start = time.monotonic()
        subprocess.run([*command, str(folder / "whole")], check=True, stdout=subprocess.DEVNULL)
        whole = time.monotonic() - start
        shards = _done(folder / "whole")
        out, finished, differing, moments = folder / "out", 0, 0, Counter[str]()
        longest = 0.5 if options.stage == "ingest" else 4.0
        while (kills := moments.total()) < options.kills or out.exists():
            last, early = kills == options.kills, chance.random() < 0.25
            seconds = 3600 if last else chance.uniform(0, whole if early else longest)
            if kill_after([*command, str(out)], out, seconds, early and not last):
                done = _done(out)
                moments["making shards" if done < shards else "all shards complete"] += 1
                print(f"kill {moments.total()}: {done} of {shards} shards complete", flush=True)
                continue
            finished += 1
            differing += _tree(out) != _tree(folder / "whole")
            shutil.rmtree(out)
            print(f"completed run {finished}: {differing} differing so far", flush=True)
    kinds = ", ".join(f"{what}: {count}" for what, count in sorted(moments.items()))
    print(f"{options.stage}, uninterrupted run of {shards} shards: {whole:.1f} s; killed {kills} times ({kinds})")
    print(f"{finished} runs completed, {differing} with different bytes; {time.monotonic() - began:.0f} s")
    sys.exit(differing > 0 or not finished)


if __name__ == "__main__":
    main()
