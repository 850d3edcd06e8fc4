"""The command line: one thin function a command; what they do is imported when they run."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from glitbuild import __version__
from glitbuild.errors import DatasetError, GlitbuildError

if TYPE_CHECKING:
    from glitbuild.engine.result import Result
    from glitbuild.train.run import Trained

Command = Callable[..., Any]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 the command line or the configuration is wrong.

    Args:
        args: the words after ``glitbuild``; by default those this process was started with.
    """
    try:
        sys.exit(cli.main(args, standalone_mode=False) or 0)
    except GlitbuildError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; run the same command again to go on", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would complain again
        sys.exit(1)
    except Exception as error:
        if os.environ.get("GLITBUILD_DEBUG"):
            raise
        _fail(f"unforeseen {type(error).__name__}: {error}; GLITBUILD_DEBUG=1 shows where; please report it", 1)


def _fail(line: str, code: int) -> NoReturn:
    click.echo("glitbuild: error: " + " ".join(line.split()), err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="glitbuild")
def cli() -> None:
    r"""Turn images with long captions into region-sentence pairs.

    \b
    glitbuild ingest photos/ --out data/raw      images and captions -> WebDataset shards
    glitbuild match data/raw --out data/pairs    regions, sentences, and which belongs to which
    glitbuild eval runs/one data/pairs           a model's figures
    """


def common(command: Command) -> Command:
    """Add the options every command has, and start the log."""

    def started(log_json: bool, verbose: bool, **options: Any) -> Any:
        from glitbuild.logs import start_logging

        start_logging(log_json, verbose)
        return command(plain=log_json, **options)

    started.__name__, started.__doc__ = command.__name__, command.__doc__
    started.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    click.option("--verbose", is_flag=True, help="Log every shard and every skipped row.")(started)
    click.option("--log-json", is_flag=True, help="Log JSON lines on standard error, without a bar.")(started)
    return started


overwrite = click.option("--overwrite", is_flag=True, help="Remove what an earlier run wrote to --out first.")


@cli.command(epilog="Example: glitbuild ingest photos/ --out data/raw")
@click.argument("source", nargs=-1, required=True)
@click.option("--out", required=True, help="Dataset directory to write; a local path or an fsspec URL.")
@click.option("--format", default="auto", show_default=True, help="folder, jsonl, csv, parquet, webdataset, hf.")
@click.option("--image-column", help="Column with the image or its path.  [default: found by its name]")
@click.option("--caption-column", help="Column with the caption.  [default: found by its name]")
@click.option("--split", help="Split of a Hugging Face dataset.  [default: all of them]")
@click.option("--shard-size", default=1000, show_default=True, help="Samples a shard.")
@click.option("--max-pixels", default=100_000_000, show_default=True, help="Larger pictures are skipped.")
@overwrite
@common
def ingest(plain: bool, **options: Any) -> None:
    """Read images with captions and write them as checked WebDataset shards.

    SOURCE is a folder of images with .txt or .json files of the same name, a .jsonl, .csv or .parquet
    file, WebDataset tars, or a Hugging Face dataset. What can't be used is listed in OUT/skipped/.
    """
    from glitbuild.engine.ingest import run_ingest
    from glitbuild.engine.options import IngestOptions

    _report(run_ingest(IngestOptions(**options), plain), options["out"])


@cli.command(epilog="Example: glitbuild match data/raw --out data/pairs --gpus 8")
@click.argument("dir")
@click.option("--out", required=True, help="Dataset directory to write; a local path or an fsspec URL.")
@click.option("--gpus", type=int, help="GPUs, one worker on each.  [default: all there are]")
@click.option("--workers", type=int, help="CPU workers instead; 0 runs in this process, without Ray.")
@click.option(
    "--detector",
    default="yolov8n.pt",
    show_default=True,
    help="An ultralytics name or file (.pt, .onnx), hf:NAME_OR_DIR (YOLOS, DETR, ...), none, or demo.",
)
@click.option("--clip-model", default="ViT-L-14-336", show_default=True, help="As in open_clip, or demo.")
@click.option("--clip-pretrained", help="open_clip tag, or a checkpoint.  [default: openai]")
@click.option("--score", type=float, help="Weaker detections are dropped.  [default: 0.25; 0.5 for hf:]")
@click.option("--min-area", default=0.01, show_default=True, help="Smallest detection, as a share of the image.")
@click.option("--max-area", default=0.8, show_default=True, help="Largest detection, likewise.")
@click.option(
    "--default-regions/--no-default-regions",
    default=True,
    show_default=True,
    help="Quadrants and centre beside detections; without, only where nothing is detected.",
)
@click.option("--ray-address", help="Ray cluster to join.  [default: Ray on this machine, for this run]")
@overwrite
@common
def match(plain: bool, **options: Any) -> None:
    """Find regions, split captions into sentences, and pair each sentence with its best region.

    DIR is a dataset directory that `glitbuild ingest` finished.
    """
    from glitbuild.engine.match import run_match
    from glitbuild.engine.options import MatchOptions

    _report(run_match(MatchOptions(**options), plain), options["out"])


@cli.command(epilog="Example: glitbuild train data/pairs --out runs/glit --gpus 4")
@click.argument("dir")
@click.option("--out", required=True, help="Folder of the run; the model is written there at its end.")
@click.option("--model", default="ViT-B-16", show_default=True, help="As in open_clip, a run's folder, or demo.")
@click.option("--pretrained", help="open_clip tag, or a checkpoint.  [default: openai]")
@click.option("--epochs", default=10, show_default=True, help="Times each sample is trained on.")
@click.option("--batch-size", default=256, show_default=True, help="Samples a step, of all processes together.")
@click.option("--accumulate", default=1, show_default=True, help="Parts a batch is computed in; the same step.")
@click.option("--lr", default=5e-6, show_default=True, help="Learning rate at its highest.")
@click.option("--weight-decay", default=0.05, show_default=True, help="Of AdamW, for matrices.")
@click.option("--warmup", default=0.0, show_default=True, help="Share of the steps in which the rate rises.")
@click.option("--clip-grad", default=0.0, show_default=True, help="Largest norm of the gradients; 0: any.")
@click.option("--loss", default="global,local,tsl", show_default=True, help="Which losses are summed.")
@click.option("--local-weight", default=0.5, show_default=True, help="Weight of the local loss.")
@click.option("--tsl-weight", default=1.0, show_default=True, help="Weight of the token similarity loss.")
@click.option("--pairs", default="best", show_default=True, help="best; top3 or all: one of these an epoch.")
@click.option("--unlocked-image-groups", type=int, help="Train only the last N groups of the image tower.")
@click.option("--unlocked-text-layers", type=int, help="Train only the last N layers of the text tower.")
@click.option("--gpus", type=int, help="GPUs, one process on each, through Ray.  [default: one process]")
@click.option("--workers", type=int, help="Processes on the CPU instead, through Ray.")
@click.option("--loader-workers", default=2, show_default=True, help="Decoding processes, for each of those.")
@click.option("--save-every", default=500, show_default=True, help="Steps between checkpoints.")
@click.option("--seed", default=0, show_default=True, help="Of the order of the samples.")
@click.option("--ray-address", help="Ray cluster to join.  [default: Ray on this machine, for this run]")
@click.option("--wandb", is_flag=True, help="Log to Weights & Biases too.")
@click.option("--resume", is_flag=True, help="Fail unless there is a checkpoint to go on from.")
@overwrite
@common
def train(plain: bool, **options: Any) -> None:
    """Fine-tune a CLIP on matched shards for captions of up to 248 tokens.

    DIR is a dataset directory that `glitbuild match` finished. The same command again goes on where an
    earlier run was interrupted.
    """
    from glitbuild.train.options import TrainOptions
    from glitbuild.train.run import run_train

    _report_training(run_train(TrainOptions(**options), plain), options["out"])


@cli.command(epilog="Example: glitbuild scenes --count 1000 --seed 1 --out data/scenes")
@click.option("--count", type=int, required=True, help="Scenes to make.")
@click.option("--out", required=True, help="Dataset directory to write; a local path or an fsspec URL.")
@click.option("--seed", default=0, show_default=True, help="Everything follows from it.")
@click.option("--split", default="train", show_default=True, help="train, val or test; they share no scene.")
@click.option("--min-objects", default=2, show_default=True, help="Least objects a scene.")
@click.option("--max-objects", default=9, show_default=True, help="Most objects a scene.")
@click.option("--kinds", default="", help="Kinds of objects, separated by commas.  [default: all of the split]")
@click.option("--held-out-kinds", is_flag=True, help="With --split test: kinds that training never sees.")
@click.option("--contrast", default=0.5, show_default=True, help="Share in groups of 4 that differ in one thing.")
@click.option("--noise", default=0.0, show_default=True, help="Share of captions with a false sentence.")
@click.option("--size", default=384, show_default=True, help="Height of the pictures in pixels.")
@click.option("--shard-size", default=1000, show_default=True, help="Samples a shard.")
@overwrite
@common
def scenes(plain: bool, **options: Any) -> None:
    """Draw scenes with long captions whose regions and sentences are known exactly.

    What is known is in OUT/truth/, a row a scene; all else is a dataset as `glitbuild ingest` makes it.
    """
    from glitbuild.scenes.options import ScenesOptions
    from glitbuild.scenes.write import run_scenes

    _report(run_scenes(ScenesOptions(**options), plain), options["out"])


@cli.command(epilog="Example: glitbuild demo --out demo")
@click.option("--out", default="glitbuild-demo", show_default=True, help="Directory to write.")
@click.option(
    "--real", is_flag=True, help="Two photographs and real models, which it downloads, instead of scenes."
)
@overwrite
@common
def demo(plain: bool, **options: Any) -> None:
    """Run every stage on drawn scenes with the embedded models: no network, no GPU, a minute or two.

    Ends with what each stage made, how right it was, what the training changed, and a picture to look at.
    """
    from glitbuild.demo.options import DemoOptions
    from glitbuild.demo.run import run_demo
    from glitbuild.demo.table import print_report

    print_report(run_demo(DemoOptions(**options), plain))


@cli.command(epilog="Example: glitbuild export runs/glit --to exported --format hf")
@click.argument("run")
@click.option("--to", required=True, help="Folder to write; it appears when it is whole.")
@click.option(
    "--format",
    required=True,
    type=click.Choice(["hf", "open_clip"]),
    help="hf: a CLIPModel of transformers, with its tokenizer and image processor. open_clip: for local-dir:.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export in --to.")
@common
def export(plain: bool, **options: Any) -> None:
    """Write the model of a RUN as a folder that other libraries read.

    What was written is read back and compared with the model before it appears. RUN is the folder of
    a run, or demo.
    """
    from glitbuild.export.options import ExportOptions
    from glitbuild.export.run import run_export

    done = run_export(ExportOptions(**options))
    what = f"{done.context_length} tokens, {done.bytes / 1e6:,.0f} MB"
    click.echo(f"{options['to']}: {what}; its embeddings are the source's (least cosine {done.cosine:.6f})")


@cli.command("eval", epilog="Example: glitbuild eval runs/one data/pairs --out figures.json")
@click.argument("model")
@click.argument("dir")
@click.option("--pretrained", help="open_clip tag, or a checkpoint, for an architecture.  [default: openai]")
@click.option(
    "--suite",
    default="",
    help="retrieval, localization, robustness, joint, averaging, separated by commas."
    "  [default: all that DIR can serve]",
)
@click.option("--out", help="JSON file to write; a local path or an fsspec URL.")
@click.option("--markdown", help="Markdown file to write, likewise.")
@click.option("--context-length", default=248, show_default=True, help="Tokens of a text that are read: 77 or 248.")
@click.option("--joint-pairs", default="best", show_default=True, help="Pairs an image in joint: best, or all.")
@click.option("--batch-size", default=64, show_default=True, help="Images or texts computed together.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, or auto: a GPU if there is one.")
@click.option("--seed", default=0, show_default=True, help="Of the false sentences and the bootstrap.")
@common
def evaluate(plain: bool, **options: Any) -> None:
    """Measure a model on a dataset: retrieval, localization, robustness.

    MODEL is a folder with a model, such as a run's, an architecture of open_clip, or demo. DIR is a dataset
    directory. The suite joint needs the pairs of `glitbuild match`; localization needs them, or the truth of
    `glitbuild scenes`.
    """
    from glitbuild.evaluate.options import EvalOptions
    from glitbuild.evaluate.report import as_json, as_markdown, check_writable, print_report, write_file
    from glitbuild.evaluate.run import run_eval

    given = EvalOptions(**options)
    for path in filter(None, (given.out, given.markdown)):
        check_writable(path)
    report = run_eval(given, plain)
    if given.out:
        write_file(given.out, as_json(report))
    if given.markdown:
        write_file(given.markdown, as_markdown(report).encode())
    print_report(report)


@cli.command(epilog="Example: glitbuild run pipelines/pairs.yaml")
@click.argument("pipeline")
@common
def run(plain: bool, pipeline: str) -> None:
    """Run the stages of a PIPELINE file; what is finished is passed over."""
    from glitbuild.engine.result import Result
    from glitbuild.pipeline import load_pipeline, run_pipeline

    for stage, result in run_pipeline(load_pipeline(pipeline), plain):
        if isinstance(result, Result):
            _report(result, stage.options.out)
        else:
            _report_training(result, stage.options.out)


@cli.command(epilog="Example: glitbuild stats data/pairs")
@click.argument("dir")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@common
def stats(plain: bool, dir: str, as_json: bool) -> None:
    """Count what is in a dataset: totals, distributions, skipped by reason."""
    from glitbuild.engine.progress import Progress
    from glitbuild.shards.manifest import open_dataset
    from glitbuild.shards.stats import collect

    store, manifest = open_dataset(dir)
    with Progress("stats", manifest.totals["samples"], plain) as progress:
        found = collect(store, manifest, progress.advance).as_dict()
    if as_json:
        click.echo(json.dumps({"totals": manifest.totals, "skipped": manifest.skipped} | found, indent=1))
        return
    from glitbuild.tables import print_stats

    print_stats(manifest, found)


@cli.command(epilog="Example: glitbuild validate data/pairs")
@click.argument("dir")
@common
def validate(plain: bool, dir: str) -> None:
    """Check a dataset against its manifest: files, hashes, records, spans, boxes."""
    from glitbuild.engine.progress import Progress
    from glitbuild.shards.manifest import open_dataset
    from glitbuild.shards.validate import validate as problems_of

    store, manifest = open_dataset(dir)
    count = 0
    with Progress("validate", manifest.totals["samples"], plain) as progress:
        for problem in problems_of(store, manifest, progress.advance):
            count += 1
            click.echo(problem)
    if count:
        raise DatasetError(dir, f"{count} problems", "remove the sidecars of the shards named and make them again")
    click.echo(f"{dir} is valid: {manifest.totals['samples']:,} samples in {len(manifest.shards):,} shards")


def _report_training(done: "Trained", out: str) -> None:
    what = f"{done.steps:,} steps, {done.epochs:,} epochs of {done.samples:,} samples"
    if done.done_before:
        click.echo(f"nothing to do: {out} is finished ({what})")
        return
    click.echo(f"{out}: {what}, {done.images_per_second:.1f} images/s")
    click.echo(f"  sentences beyond the last token: {done.sentences_beyond:,}")
    click.echo(f"  regions outside of what the model sees: {done.boxes_outside:,}")


def _report(result: "Result", out: str) -> None:
    totals, shards = result.manifest.totals, len(result.manifest.shards)
    what = f"{totals['samples']:,} samples in {shards:,} shards, {totals['skipped']:,} skipped"
    if result.done_before:
        click.echo(f"nothing to do: {out} is finished ({what})")
        return
    click.echo(f"{out}: {what}, {result.images_per_second:.1f} images/s")
    for reason, count in result.manifest.skipped.items():
        click.echo(f"  skipped {count:,}: {reason}")
