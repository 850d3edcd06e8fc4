"""``glitbuild train``."""

from typing import Any

import click

from glitbuild.commands.common import common, model_options, overwrite
from glitbuild.commands.report import report_training


@click.command(
    short_help="Fine-tune a CLIP on matched shards for long captions.",
    epilog="Example: glitbuild train data/pairs --out runs/glit --gpus 4",
)
@click.argument("dir")
@click.option("--out", required=True, help="Folder of the run; the model is written there at its end.")
@click.option(
    "--model", default="ViT-B-16", show_default=True, help="Architecture of open_clip, folder of a run, or demo."
)
@click.option("--pretrained", help="Tag of open_clip, or checkpoint file.  [default: openai]")
@model_options
@click.option("--epochs", default=10, show_default=True, help="Number of epochs.")
@click.option("--batch-size", default=256, show_default=True, help="Samples per step, over all processes.")
@click.option(
    "--accumulate", default=1, show_default=True, help="Parts that a batch is computed in; the step stays the same."
)
@click.option("--lr", default=5e-6, show_default=True, help="Peak learning rate.")
@click.option("--weight-decay", default=0.05, show_default=True, help="Weight decay of AdamW, for matrices.")
@click.option(
    "--warmup", default=0.0, show_default=True, help="Share of the steps in which the learning rate rises."
)
@click.option("--clip-grad", default=0.0, show_default=True, help="Largest norm of the gradients; 0 for no limit.")
@click.option("--loss", default="global,local,tsl", show_default=True, help="Losses to sum.")
@click.option("--local-weight", default=0.5, show_default=True, help="Weight of the local loss.")
@click.option("--tsl-weight", default=1.0, show_default=True, help="Weight of the token similarity loss.")
@click.option(
    "--pairs",
    default="best",
    show_default=True,
    help="Local pairs: best, or top3 or all for one of these per epoch.",
)
@click.option("--unlocked-image-groups", type=int, help="Train only the last N groups of the image tower.")
@click.option("--unlocked-text-layers", type=int, help="Train only the last N layers of the text tower.")
@click.option("--gpus", type=int, help="Number of GPUs, one process each, through Ray.  [default: one process]")
@click.option("--workers", type=int, help="Number of CPU processes instead, through Ray.")
@click.option("--loader-workers", default=2, show_default=True, help="Data loading processes per training process.")
@click.option("--cache", help="Folder for the shards of a remote DIR.  [default: ~/.cache/glitbuild/shards]")
@click.option("--cache-size", help="Largest size of the cache, such as 500MB.  [default: 50GB]")
@click.option("--save-every", default=500, show_default=True, help="Steps between checkpoints.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order of the samples.")
@click.option("--ray-address", help="Ray cluster to join.  [default: Ray on this machine, for this run]")
@click.option("--wandb", is_flag=True, help="Log to Weights & Biases too.")
@click.option("--resume", is_flag=True, help="Fail unless there is a checkpoint to resume from.")
@overwrite
@common
def train(plain: bool, **options: Any) -> None:
    """Fine-tune a CLIP on matched shards for captions of up to 248 tokens.

    DIR is a dataset directory that `glitbuild match` finished. The same command again goes on where an
    earlier run was interrupted.
    """
    from glitbuild.stages.train.command import run_train
    from glitbuild.stages.train.options import TrainOptions

    report_training(run_train(TrainOptions(**options), plain), options["out"])
