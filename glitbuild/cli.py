"""The command line; each command is a file of ``commands/`` that imports what it does when it runs."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

import click

from glitbuild import __version__
from glitbuild.commands.caption import caption
from glitbuild.commands.demo import demo
from glitbuild.commands.evaluate import evaluate
from glitbuild.commands.export import export
from glitbuild.commands.ingest import ingest
from glitbuild.commands.match import match
from glitbuild.commands.preview import preview
from glitbuild.commands.push import push
from glitbuild.commands.run import run
from glitbuild.commands.scenes import scenes
from glitbuild.commands.stats import stats
from glitbuild.commands.train import train
from glitbuild.commands.validate import validate
from glitbuild.errors import GlitbuildError
from glitbuild.logs import start_errors, tell_error


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 the command line or the configuration is wrong.

    Args:
        args: the words after ``glitbuild``; by default those this process was started with.
    """
    _never_fail_for_a_character()
    start_errors(sys.argv[1:] if args is None else args)
    try:
        sys.exit(cli.main(args, standalone_mode=False) or 0)
    except GlitbuildError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted; run the same command again to resume", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would complain again
        sys.exit(1)
    except Exception as error:
        if os.environ.get("GLITBUILD_DEBUG"):
            raise
        _fail(f"unforeseen {type(error).__name__}: {error}; GLITBUILD_DEBUG=1 shows where; please report it", 1)


def _never_fail_for_a_character() -> None:
    """Write characters that the terminal's encoding lacks, and bytes of odd file names, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(line: str, code: int) -> NoReturn:
    tell_error("glitbuild: error: " + " ".join(line.split()))
    sys.exit(code)


class InOrder(click.Group):
    """Lists its commands in the order in which they were added: that of the data."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="glitbuild")
def cli() -> None:
    """Turn images with long captions into region-sentence pairs, and fine-tune CLIP on them.

    \b
    glitbuild ingest photos/ --out data/raw     checked images and captions, as shards
    glitbuild match data/raw --out data/pairs   regions, sentences, which belongs to which
    glitbuild train data/pairs --out runs/glit  a CLIP for long captions
    glitbuild eval runs/glit data/pairs         its metrics
    """  # noqa: D301 - \b is the control character: click leaves the next lines as they are


COMMANDS = (
    *(scenes, ingest, caption, match, preview, stats, validate),
    *(train, evaluate, export, push),
    *(run, demo),
)
for command in COMMANDS:
    cli.add_command(command)
