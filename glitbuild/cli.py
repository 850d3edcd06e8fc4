"""The command line, built from ``COMMANDS`` and the options that each command declares."""

import os
import sys
from collections.abc import Sequence
from inspect import cleandoc
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from glitbuild import __version__
from glitbuild.commands import COMMANDS
from glitbuild.errors import GlitbuildError
from glitbuild.logs import start_errors, tell_error
from glitbuild.options import Declared, declared, flag


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with 0 (success), 1 (failure) or 2 (wrong command line or configuration).

    Args:
        args: words after ``glitbuild``; by default, the arguments of this process.
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
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # otherwise flushing at exit would fail again
        sys.exit(1)
    except Exception as error:
        if os.environ.get("GLITBUILD_DEBUG"):
            raise
        _fail(f"unexpected {type(error).__name__}: {error}; GLITBUILD_DEBUG=1 shows where; please report it", 1)


def _never_fail_for_a_character() -> None:
    """Escape characters that the terminal's encoding lacks, and undecodable bytes of file names."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(line: str, code: int) -> NoReturn:
    tell_error("glitbuild: error: " + " ".join(line.split()))
    sys.exit(code)


class Commands(click.Group):
    """All commands, in the order of the data flow; each is built when it is requested."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none of that name."""
        return make_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short_help) for name, command in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="glitbuild")
def cli() -> None:
    """Turn images with long captions into region-sentence pairs, and fine-tune CLIP on them.

    \b
    glitbuild ingest photos/ --out data/raw     check images and captions, write shards
    glitbuild match data/raw --out data/pairs   pair sentences with image regions
    glitbuild train data/pairs --out runs/glit  fine-tune a CLIP for long captions
    glitbuild eval runs/glit data/pairs         evaluate it
    """  # noqa: D301 - \b tells click not to rewrap the next lines


def make_command(name: str) -> click.Command:
    """Return a command with the options that its dataclass declares and those common to all commands."""
    command, options = COMMANDS[name], COMMANDS[name].load_options()

    def run(log_json: bool, verbose: bool, **given: Any) -> None:
        from glitbuild.logs import start_logging
        from glitbuild.pipeline import expand_home
        from glitbuild.reports import report

        start_logging(log_json, verbose)
        # A shell does not expand the ~ of --out=~/data.
        checked = options(**{key: expand_home(value) for key, value in given.items()})
        report(name, checked, command.load_run()(checked, log_json))

    return click.Command(
        name,
        params=[*map(parameter, declared(options)), *COMMON],
        callback=run,
        help=cleandoc(options.__doc__ or ""),
        short_help=command.short_help,
        epilog=f"Example: {command.example}",
    )


COMMON = (
    click.Option(["--log-json"], is_flag=True, help="Log JSON lines to standard error, without a progress bar."),
    click.Option(["--verbose"], is_flag=True, help="Log every shard and every skipped row."),
)


def parameter(option: Declared) -> click.Parameter:
    """Return an option as a click parameter; its limits and choices are checked by the dataclass."""
    said, several = option.option, option.several and not option.option.commas
    if said.argument:
        metavar = said.metavar or None
        return click.Argument([option.name], required=True, nargs=-1 if several else 1, metavar=metavar)
    name, help = flag(option.name), said.help
    if said.absent:
        help += f"  [default: {said.absent}]"
    if option.type is bool:
        two = option.nullable or option.default is True
        name = f"{name}/--no-{name[2:]}" if two else name
        default = None if option.nullable else option.default
        return click.Option([name], is_flag=True, default=default, show_default=bool(default), help=help)
    if several and not said.count:
        return click.Option([name], type=option.type, multiple=True, required=option.required, help=help)
    default = None if option.required or several else "" if option.several else option.default
    return click.Option(
        [name],
        type=str if said.commas else option.type,
        nargs=said.count or 1,
        required=option.required,
        default=default,
        show_default=default not in (None, ""),
        metavar=said.metavar or (f"[{'|'.join(option.choices)}]" if option.choices else None),
        help=help,
    )
