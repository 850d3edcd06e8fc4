"""The options that several commands have."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def common(command: Command) -> Command:
    """Add the options every command has, and start the log."""

    def started(log_json: bool, verbose: bool, **options: Any) -> Any:
        from glitbuild.logs import start_logging
        from glitbuild.recipe import expand_home

        start_logging(log_json, verbose)
        # A shell leaves the ~ of --out=~/data alone.
        return command(plain=log_json, **{name: expand_home(value) for name, value in options.items()})

    started.__name__, started.__doc__ = command.__name__, command.__doc__
    started.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    click.option("--verbose", is_flag=True, help="Log every shard and every skipped row.")(started)
    click.option("--log-json", is_flag=True, help="Log JSON lines on standard error, without a bar.")(started)
    return started


overwrite = click.option("--overwrite", is_flag=True, help="Remove what an earlier run wrote to --out first.")
"""For those that write a directory."""


def parallel(command: Command) -> Command:
    """Add the options of commands that read shards in this process, or on request in several."""
    ray_address = click.option("--ray-address", help="Ray cluster to join.  [default: Ray on this machine]")
    workers = click.option("--workers", type=int, help="Processes to spread the shards over.  [default: this one]")
    return workers(ray_address(command))


MODEL_OPTIONS = (
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
    for each in reversed(MODEL_OPTIONS):
        command = each(command)
    return command


DOWNLOAD_OPTIONS = (
    click.option("--connections", default=64, show_default=True, help="Downloads at a time."),
    click.option("--connections-per-host", default=16, show_default=True, help="Of these, from one host."),
    click.option("--timeout", default=10.0, show_default=True, help="Seconds without a byte."),
    click.option("--total-timeout", default=60.0, show_default=True, help="Seconds a request may take in all."),
    click.option("--retries", default=2, show_default=True, help="Further tries of a download that failed."),
    click.option("--retry-wait", default=1.0, show_default=True, help="Seconds before the first; then doubled."),
    click.option("--max-download-bytes", default=32 << 20, show_default=True, help="Larger files are skipped."),
    click.option("--user-agent-token", default="", help="Your own name, sent beside glitbuild's."),
    click.option("--ignore-opt-out", is_flag=True, help="Take images whose servers say noai or noindex."),
    click.option("--allow-private-hosts", is_flag=True, help="Ask this machine and private networks, too."),
)


def downloads(command: Command) -> Command:
    """Add the options."""
    for option in reversed(DOWNLOAD_OPTIONS):
        command = option(command)
    return command
