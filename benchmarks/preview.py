"""Size of the page of ``glitbuild preview``, and how fast Chromium opens it.

    python benchmarks/preview.py [--dir data/pairs] [--noise] [--repeat 5]

Without ``--dir``, the page shows 200 scenes matched with the embedded models. ``--noise`` replaces the images by
noise that JPEG can't compress, with the same regions and sentences. Chromium (Debian's package) opens the file in a
new context each time; its own clocks give the times from the start of navigation until the page was loaded and
until the largest visible image was painted.
"""

import argparse
import hashlib
import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from glitbuild.shards.manifest import ShardEntry, open_dataset, write_manifest
from glitbuild.shards.reader import read_shard
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.publish.page.preview import MOST_BYTES, PreviewOptions, run_preview
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions

SAMPLES = 200
MOST_SECONDS = 2.0

CLOCKS = """() => new Promise((done) => new PerformanceObserver((list) => {
  const painted = list.getEntries().at(-1);
  const loaded = performance.getEntriesByType("navigation")[0].loadEventEnd;
  done([loaded / 1000, painted.startTime / 1000]);
}).observe({type: "largest-contentful-paint", buffered: true}))"""


def scenes(folder: Path) -> Path:
    """Draw scenes and match them."""
    run_scenes(ScenesOptions(SAMPLES, str(folder / "scenes"), seed=5, split="val"))
    match = MatchOptions(
        str(folder / "scenes"), str(folder / "pairs"), workers=0, detector="demo", clip_model="demo"
    )
    run_match(match)
    return folder / "pairs"


def with_noise(source: str, folder: Path) -> Path:
    """Copy a dataset's samples with images of noise."""
    store, manifest = open_dataset(source)
    pixels = np.random.default_rng(0)

    def samples(shard: ShardEntry) -> Iterator[Outcome]:
        for sample, _ in read_shard(store, shard.name, shard.sha256):
            noise = pixels.integers(0, 256, (sample.image.height, sample.image.width, 3), dtype=np.uint8)
            jpeg = io.BytesIO()
            Image.fromarray(noise).save(jpeg, "JPEG", quality=95)
            info = replace(sample.image, sha256=hashlib.sha256(jpeg.getvalue()).hexdigest())
            yield replace(sample, image=info), jpeg.getvalue()

    out = Store(str(folder / "noise"))
    sidecars = [write_shard(out, entry.name, samples(entry), manifest.config, dict) for entry in manifest.shards]
    write_manifest(out, sidecars, manifest.config, manifest.versions)
    return folder / "noise"


def open_once(browser: Browser, page_file: Path) -> tuple[float, float, int]:
    """Return the seconds until the page was loaded and painted, and the number of its errors and warnings."""
    heard: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(page_file.as_uri())
    loaded, painted = page.evaluate(CLOCKS)
    context.close()
    return loaded, painted, len(heard)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = options.dir or str(scenes(Path(folder)))
        data = str(with_noise(data, Path(folder))) if options.noise else data
        start = time.perf_counter()
        made = run_preview(PreviewOptions(data, f"{folder}/page.html", samples=SAMPLES))
        seconds = time.perf_counter() - start
        size = f"{made.bytes / 1e6:.2f} MB of at most {MOST_BYTES / 1e6:.0f}"
        print(f"{made.samples} samples: {size}, {made.shrunk} images shrunk to fit, made in {seconds:.1f} s")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        found = [open_once(browser, Path(made.out)) for _ in range(options.repeat)]
        browser.close()
    loaded, painted, heard = zip(*found, strict=True)
    for name, values in (("loaded", loaded), ("painted", painted)):
        print(f"{name}: {statistics.median(values):.2f} s (median of {len(values)}, at most {max(values):.2f} s)")
    print(f"errors and warnings on the console: {sum(heard)}")
    print(f"below {MOST_SECONDS:.0f} s: {'yes' if max(*loaded, *painted) < MOST_SECONDS else 'NO'}")


if __name__ == "__main__":
    main()
