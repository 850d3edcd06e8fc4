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
    workers = click.option("--workers", type=int, help="Number of worker processes.  [default: this process]")
    return workers(ray_address(command))


MODEL_OPTIONS = (
    click.option(
        "--force-quick-gelu/--no-force-quick-gelu",
        default=None,
        help="Whether a checkpoint was trained with QuickGELU.  [default: what it or its neighbours say]",
    ),
    click.option(
        "--image-mean", type=float, nargs=3, help="Mean of the pixels that it was trained with, for R, G and B."
    ),
    click.option("--image-std", type=float, nargs=3, help="Standard deviation of these pixels, for R, G and B."),
    click.option("--image-interpolation", help="Interpolation of its resize: bicubic or bilinear."),
    click.option("--image-resize-mode", help="Its resize: shortest (with a center crop) or squash (both sides)."),
)


def model_options(command: Command) -> Command:
    """Add the options to a command."""
    for each in reversed(MODEL_OPTIONS):
        command = each(command)
    return command


DOWNLOAD_OPTIONS = (
    click.option("--connections", default=64, show_default=True, help="Number of concurrent downloads."),
    click.option("--connections-per-host", default=16, show_default=True, help="Concurrent downloads per host."),
    click.option(
        "--timeout", default=10.0, show_default=True, help="Seconds without a byte after which a request fails."
    ),
    click.option(
        "--total-timeout", default=60.0, show_default=True, help="Seconds that a request may take in total."
    ),
    click.option("--retries", default=2, show_default=True, help="Retries per failed download."),
    click.option(
        "--retry-wait",
        default=1.0,
        show_default=True,
        help="Seconds before the first retry, doubled for each further one.",
    ),
    click.option(
        "--max-download-bytes",
        default=32 << 20,
        show_default=True,
        help="Largest download in bytes; larger ones are skipped.",
    ),
    click.option("--user-agent-token", default="", help="Your own user agent, sent beside glitbuild's."),
    click.option("--ignore-opt-out", is_flag=True, help="Download images whose servers say noai or noindex."),
    click.option("--allow-private-hosts", is_flag=True, help="Allow URLs on this machine and in private networks."),
)


def downloads(command: Command) -> Command:
    """Add the options."""
    for option in reversed(DOWNLOAD_OPTIONS):
        command = option(command)
    return command
