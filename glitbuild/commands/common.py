"""What every command has."""

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def common(command: Command) -> Command:
    """Add the options every command has, and start the log."""

    def started(log_json: bool, verbose: bool, **options: Any) -> Any:
        from glitbuild.expand import expand_home
        from glitbuild.logs import start_logging

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
