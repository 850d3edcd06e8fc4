"""The registry of commands: names, options and entry points; a command is imported when it is requested."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from glitbuild.options import Options


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the command line; most commands are also pipeline stages and Python functions.

    Attributes:
        short_help: description in the list of commands.
        example: complete command line.
        module: module that defines ``run``.
        run: name of the function that takes the options, and whether progress is logged as plain lines.
        options: name of the dataclass with the options, whose docstring is the command's help.
        where: module that defines the options.
        stage: whether pipelines may contain the command.
    """

    short_help: str
    example: str
    module: str
    run: str
    options: str
    where: str
    stage: bool = True

    def load_options(self) -> type[Options]:
        """Import and return the dataclass with the command's options."""
        options: type[Options] = getattr(import_module(f"glitbuild.{self.where}"), self.options)
        return options

    def load_run(self) -> Callable[[Any, bool], Any]:
        """Import and return the function that runs the command."""
        run: Callable[[Any, bool], Any] = getattr(import_module(f"glitbuild.{self.module}"), self.run)
        return run


def _stage(name: str, options: str, short_help: str, example: str, where: str = "options") -> Command:
    """Return a command whose package follows the usual layout."""
    room = f"stages.{name}"
    return Command(
        short_help, example, f"{room}.command", f"run_{options.lower()}", f"{options}Options", f"{room}.{where}"
    )


COMMANDS = {
    "scenes": _stage(
        "scenes",
        "Scenes",
        "Draw scenes with long captions and ground truth.",
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
        "Write captions for images that have none, with a vision model.",
        "glitbuild caption data/images --out data/raw --endpoint http://localhost:8000/v1 --model llava",
    ),
    "match": _stage(
        "match",
        "Match",
        "Pair the sentences of each caption with regions of its image.",
        "glitbuild match data/raw --out data/pairs --gpus 8",
    ),
    "preview": Command(
        "Write an HTML page that shows images, regions and sentences.",
        "glitbuild preview data/pairs --out preview.html",
        "stages.publish.page.preview",
        "run_preview",
        "PreviewOptions",
        "stages.publish.page.preview",
    ),
    "stats": Command(
        "Print statistics of a dataset.",
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
        "Fine-tune a CLIP for long captions on matched shards.",
        "glitbuild train data/pairs --out runs/glit --gpus 4",
    ),
    "eval": _stage(
        "evaluate",
        "Eval",
        "Evaluate a model on a dataset.",
        "glitbuild eval runs/one data/pairs --out metrics.json",
    ),
    "compare": Command(
        "Compare models on the same data.",
        "glitbuild compare demo runs/one --data data/pairs --latex table.tex",
        "stages.evaluate.compare",
        "run_compare",
        "CompareOptions",
        "stages.evaluate.options",
    ),
    "blend": _stage(
        "blend",
        "Blend",
        "Blend a run with its base, against forgetting.",
        "glitbuild blend demo runs/one --gain data/val-pairs --retain data/short --out runs/blend",
    ),
    "export": _stage(
        "export",
        "Export",
        "Export the model of a run for open_clip or transformers.",
        "glitbuild export runs/glit --to exported --format hf",
        where="command",
    ),
    "push": Command(
        "Upload a dataset or a model to the Hugging Face Hub.",
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
        "Run every stage on drawn scenes, without network access.",
        "glitbuild demo --out demo",
        "demo.command",
        "run_demo",
        "DemoOptions",
        "demo.options",
        stage=False,
    ),
}
"""All commands by name, in the order of the data flow."""
