"""Bytes that training from an object store transfers, and the speed of its loader compared with a local dataset.

    python benchmarks/remote.py [--samples 300] [--shard-size 50] [--size 384] [--epochs 6] [--cache-size 1.0]

Moto's S3 server runs in a separate process, behind a proxy that counts all bytes that the server sends, including
headers. The loader reads the same matched scenes from there, through an initially empty cache of `--cache-size`
times the dataset's bytes, and from disk. The two take turns, one epoch each, so that other load on the machine
affects both. The output shows the bytes of each epoch as a multiple of the dataset's and, from the second epoch on,
the median of images per second after the first batch; finally, the bytes that `glitbuild match` reads for the same
samples over S3.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from s3fs import S3FileSystem

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.text import clips_own
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.store import Store
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.cache import Ahead, ShardCache
from glitbuild.stages.train.data import Batch, Batches, ExampleMaker, load
from glitbuild.stages.train.plan import Plan
from glitbuild.stages.train.sources import Source
from tests.proxy import CountingProxy

SERVER = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
input()
"""


def rate(steps: Iterator[Batch]) -> float:
    """Consume the batches of an epoch; return images per second after the first batch."""
    next(steps)
    start = time.perf_counter()
    count = sum(len(batch) for batch in steps)
    return count / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--shard-size", type=int, default=50)
    parser.add_argument("--size", type=int, default=384, help="height of the images in pixels")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--cache-size", type=float, default=1.0, help="size of the cache as a multiple of the dataset's bytes"
    )
    given = parser.parse_args()
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    with tempfile.TemporaryDirectory() as temporary, CountingProxy(server.stdout.readline().strip()) as proxy:
        os.environ |= keys | {"AWS_ENDPOINT_URL": proxy.url}
        local, raw = str(Path(temporary) / "pairs"), str(Path(temporary) / "scenes")
        run_scenes(
            ScenesOptions(given.samples, raw, split="val", shard_size=given.shard_size, size=given.size), plain=True
        )
        run_match(MatchOptions(raw, local, workers=0, detector="none", clip_model="demo"), plain=True)
        fs = S3FileSystem()
        fs.mkdir("bench")
        for name in ("scenes", "pairs"):
            fs.put(f"{temporary}/{name}/", f"s3://bench/{name}", recursive=True)
        _, manifest = open_dataset(local)
        size = sum(entry.bytes for entry in manifest.shards)
        spec = ClipSpec.parse("demo")
        model = spec.load("cpu")
        maker = ExampleMaker(Preprocess.of(model), clips_own(spec.tokenizer()), model.context_length)
        here = Source.open(local)
        plan = Plan.of([here], 0, given.batch_size)
        proxy.take()
        cache = ShardCache(Path(temporary) / "cache", int(size * given.cache_size))
        there = Source.open("s3://bench/pairs")
        entries = there.manifest.shards
        cache.prepare(Store(there.url), entries)
        batches = {
            "remote": Batches([there], maker, plan, cache),
            "local": Batches([here], maker, plan),
        }
        rates: dict[str, list[float]] = {name: [] for name in batches}
        moved = []
        for number in range(given.epochs):
            for name, source in batches.items():
                ahead = Ahead([there], plan, number + 1, cache) if name == "remote" else None
                steps = plan.steps(number + 1, done=number * plan.batches)
                rates[name].append(rate(load(source, steps, given.processes, ahead=ahead)))
            moved.append(proxy.take())
        print(f"{given.samples} samples, {len(entries)} shards, {size:,} bytes; cache {cache.limit:,} bytes")
        for number, count in enumerate(moved, 1):
            each = ", ".join(f"{name} {of[number - 1]:.0f}" for name, of in rates.items())
            print(f"  epoch {number}: {count / size:6.3f} x the dataset's bytes; images/s: {each}")
        print(f"  first epoch and manifest: {moved[0] / size:.3f} x, second epoch: {moved[1] / size:.3f} x")
        medians = {name: statistics.median(of[1:]) for name, of in rates.items()}
        ratio = medians["remote"] / medians["local"]
        print(f"  from epoch 2 on: remote {medians['remote']:.0f}, local {medians['local']:.0f}, ratio {ratio:.3f}")
        proxy.take()
        bytes_in = sum(entry.bytes for entry in open_dataset(raw)[1].shards)
        out = "s3://bench/matched"
        run_match(MatchOptions("s3://bench/scenes", out, workers=0, detector="none", clip_model="demo"), plain=True)
        print(f"match over s3: {proxy.take() / bytes_in:.3f} x its input's bytes")
    server.communicate("\n")


if __name__ == "__main__":
    main()
