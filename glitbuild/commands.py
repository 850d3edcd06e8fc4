"""The commands: name, options, and what runs them. A command is imported when it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from glitbuild.options import Options


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the command line; most of them are stages of recipes and functions of Python too.

    Attributes:
        short_help: a line in the list of commands.
        example: a command line.
        module: holds ``run``, or more than that.
        run: name of the function that takes the options, and whether progress is plain lines.
        options: name of the dataclass of its options, whose docstring is the command's help.
        where: module of the options.
        stage: recipes may have it.
    """

    short_help: str
    example: str
    module: str
    run: str
    options: str
    where: str
    stage: bool = True

    def load_options(self) -> type[Options]:
        """Import and return the dataclass of its options."""
        options: type[Options] = getattr(import_module(f"glitbuild.{self.where}"), self.options)
        return options

    def load_run(self) -> Callable[[Any, bool], Any]:
        """Import and return what runs it."""
        run: Callable[[Any, bool], Any] = getattr(import_module(f"glitbuild.{self.module}"), self.run)
        return run


def _stage(name: str, options: str, short_help: str, example: str, where: str = "options") -> Command:
    """Return a command whose room has the usual floor plan."""
    room = f"stages.{name}"
    return Command(
        short_help, example, f"{room}.command", f"run_{options.lower()}", f"{options}Options", f"{room}.{where}"
    )


COMMANDS = {
    "scenes": _stage(
        "scenes",
        "Scenes",
        "Draw scenes with long captions and the truth about them.",
        "glitbuild scenes --count 1000 --seed 1 --out data/scenes",
    ),
    "ingest": _stage(
        "ingest",
        "Ingest",
        "Read images with captions and write checked shards.",
        "glitbuild ingest photos/ --out data/raw",
    ),
    "caption": _stage(
        "caption",
        "Caption",
        "Have a vision model write captions for images that lack them.",
        "glitbuild caption data/images --out data/raw --endpoint http://localhost:8000/v1 --model llava",
    ),
    "match": _stage(
        "match",
        "Match",
        "Pair the sentences of each caption with regions of its image.",
        "glitbuild match data/raw --out data/pairs --gpus 8",
    ),
    "preview": Command(
        "Write a page with images, regions and sentences to look at.",
        "glitbuild preview data/pairs --out preview.html",
        "stages.publish.page.preview",
        "run_preview",
        "PreviewOptions",
        "stages.publish.page.preview",
    ),
    "stats": Command(
        "Count what is in a dataset.",
        "glitbuild stats data/pairs",
        "inspection",
        "run_stats",
        "StatsOptions",
        "inspection",
        stage=False,
    ),
    "validate": Command(
        "Check a dataset against its manifest.",
        "glitbuild validate data/pairs",
        "inspection",
        "run_validate",
        "ValidateOptions",
        "inspection",
        stage=False,
    ),
    "train": _stage(
        "train",
        "Train",
        "Fine-tune a CLIP on matched shards for long captions.",
        "glitbuild train data/pairs --out runs/glit --gpus 4",
    ),
    "eval": _stage(
        "evaluate",
        "Eval",
        "Measure a model on a dataset.",
        "glitbuild eval runs/one data/pairs --out metrics.json",
    ),
    "export": _stage(
        "export",
        "Export",
        "Write the model of a run for open_clip or transformers.",
        "glitbuild export runs/glit --to exported --format hf",
        where="command",
    ),
    "push": Command(
        "Send a dataset or a model to the Hugging Face Hub.",
        "glitbuild push data/pairs anna/birds --private",
        "stages.publish.hub.command",
        "run_push",
        "PushOptions",
        "stages.publish.hub.command",
    ),
    "run": Command(
        "Run the stages of a pipeline file.",
        "glitbuild run pipelines/pairs.yaml",
        "pipeline",
        "run_file",
        "RunOptions",
        "pipeline",
        stage=False,
    ),
    "demo": Command(
        "Run every stage on drawn scenes, without a network.",
        "glitbuild demo --out demo",
        "demo.command",
        "run_demo",
        "DemoOptions",
        "demo.options",
        stage=False,
    ),
}
"""In the order of the data."""
