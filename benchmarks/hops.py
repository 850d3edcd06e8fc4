"""Number of files of the package that are involved in one task: those with a function that runs during it.

    python benchmarks/hops.py [--list]

The tasks are: ingesting a row whose image is a URL, from the call of ``run_ingest`` to its return, in all threads;
the download alone; matching a shard of two scenes in a worker that has loaded its models; and a training step, from
the end of the previous one: its batch, the step, and its line in the log. Each is run once before it is counted.
Functions that run while modules are imported don't count. ``--list`` lists the files with the number of functions
that ran.
"""

import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the server of the tests

import glitbuild
from glitbuild.clip.load import ClipSpec
from glitbuild.engine.task import ShardTask
from glitbuild.flism.detectors.registry import DetectorSpec
from glitbuild.shards.manifest import open_dataset
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.match.worker import MatchPlan, MatchWorker
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.folder import State
from glitbuild.stages.train.loop import Job, prepare, train
from glitbuild.stages.train.options import TrainOptions
from tests.factories import jpeg
from tests.stages.ingest.download.server import Server

PACKAGE = str(Path(glitbuild.__file__).parent)
DEMO: dict[str, Any] = {"detector": "demo", "clip_model": "demo", "workers": 0}


class Profile:
    """Records the files of the package in which functions run, in all threads."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name != "<module>":
            self._seen.add((code.co_filename, code.co_qualname))

    def start(self) -> None:
        """Start recording."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def stop(self) -> None:
        """Stop recording."""
        sys.setprofile(None)
        threading.setprofile(None)

    def files(self) -> Counter[str]:
        """Return the number of distinct functions that ran, by file."""
        return Counter(str(Path(name).relative_to(PACKAGE)) for name, _ in self._seen)


def crossed(action: Callable[[], Any]) -> Counter[str]:
    """Return the number of distinct functions that ran during an action, by file."""
    seen = Profile()
    seen.start()
    try:
        action()
    finally:
        seen.stop()
    return seen.files()


def ingest_url(folder: Path) -> Counter[str]:
    """Ingest one row whose image is a URL."""
    with Server([jpeg()]) as server:
        (folder / "rows.jsonl").write_text(
            json.dumps({"image": server.url("ok/0.jpg"), "caption": "Noise."}) + "\n"
        )

        def run(out: str) -> None:
            options = IngestOptions((str(folder / "rows.jsonl"),), str(folder / out), allow_private_hosts=True)
            run_ingest(options, plain=True)

        run("first")
        return crossed(lambda: run("second"))


def match_shard(folder: Path) -> Counter[str]:
    """Match a shard of two scenes."""
    run_scenes(ScenesOptions(count=2, out=str(folder / "scenes")), plain=True)
    run_match(MatchOptions(str(folder / "scenes"), str(folder / "pairs"), **DEMO), plain=True)
    _, manifest = open_dataset(str(folder / "scenes"))
    plan = MatchPlan(
        source=str(folder / "scenes"),
        out=str(folder / "again"),
        detector=DetectorSpec.parse("demo", None),
        clip=ClipSpec.parse("demo"),
        min_area=0.01,
        max_area=0.8,
        config={"stage": "match"},
    )
    worker = MatchWorker(plan)
    task = ShardTask(manifest.shards[0].name, manifest.shards[0].sha256)
    worker.run(task)
    return crossed(lambda: worker.run(task))


def train_step(folder: Path) -> Counter[str]:
    """Run a training step on a matched dataset of two samples."""
    options = TrainOptions(str(folder / "pairs"), str(folder / "run"), "demo", batch_size=2, loader_workers=0)
    options = replace(options, epochs=2)
    (folder / "run").mkdir()
    training = prepare(Job(options, options.dirs, options.out, ClipSpec.parse("demo")), "cpu")
    seen = Profile()

    def between(state: State, images: int) -> None:
        if state.step == 1:
            seen.start()
        else:
            seen.stop()

    train(training, between)
    return seen.files()


def main() -> None:
    """Run and print."""
    listed = "--list" in sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ingested, matched = ingest_url(folder), match_shard(folder)
        download = Counter({file: n for file, n in ingested.items() if "/download/" in file})
        counted = {
            "ingest of a URL": ingested,
            "of this, the download": download,
            "match of a shard": matched,
            "a training step": train_step(folder),
        }
    print("| | files | functions |\n| --- | ---: | ---: |")
    for what, files in counted.items():
        print(f"| {what} | {len(files)} | {sum(files.values())} |")
    for what, files in counted.items() if listed else ():
        print(f"\n{what}")
        for file, functions in sorted(files.items()):
            print(f"  {file}: {functions}")


if __name__ == "__main__":
    main()
