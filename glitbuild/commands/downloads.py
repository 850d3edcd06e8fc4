"""The options of downloading, for the commands that do."""

import click

from glitbuild.commands.common import Command

OPTIONS = (
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
    for option in reversed(OPTIONS):
        command = option(command)
    return command
