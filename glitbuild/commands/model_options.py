"""The options of every command that reads a CLIP: what a checkpoint may not say of its weights."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

OPTIONS = (
    click.option(
        "--force-quick-gelu/--no-force-quick-gelu",
        default=None,
        help="Whether a checkpoint was trained with QuickGELU.  [default: what it or its neighbours say]",
    ),
    click.option("--image-mean", type=float, nargs=3, help="Of its pictures' pixels, for each of R, G, B."),
    click.option("--image-std", type=float, nargs=3, help="Deviation of these, likewise."),
    click.option("--image-interpolation", help="How its pictures are resized: bicubic or bilinear."),
    click.option("--image-resize-mode", help="shortest: the centre is cut out; squash: both sides are resized."),
)


def model_options(command: Command) -> Command:
    """Add the options to a command."""
    for each in reversed(OPTIONS):
        command = each(command)
    return command
