"""A pipeline file: the stages of ``glitbuild run``, one after the other, with the commands' options."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from glitbuild.commands import COMMANDS
from glitbuild.errors import ConfigError, StageError
from glitbuild.options import Options, about
from glitbuild.recipe import read_recipe
from glitbuild.reports import report
from glitbuild.shards.schemas import misfit


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the command's name, and its options as the dataclass of that command."""

    name: str
    options: Any


def load_pipeline(path: str) -> list[Stage]:
    """Read a pipeline file and check it against ``schemas/pipeline.schema.json``.

    Raises:
        ConfigError: it is missing, isn't YAML, has a key twice, names a variable that isn't set, or doesn't fit the
            schema.
    """
    content = read_recipe(path)
    if problem := misfit("pipeline", content):
        raise ConfigError(path, problem, "see schemas/pipeline.schema.json")
    stages = [(name, options) for stage in content["stages"] for name, options in stage.items()]
    return [Stage(name, COMMANDS[name].load_options()(**options)) for name, options in stages]


def run_pipeline(stages: list[Stage], plain: bool = False) -> Iterator[tuple[Stage, Any]]:
    """Run the stages in order and yield what each came to; finished ones are passed over by themselves.

    Raises:
        ConfigError: a stage's options don't fit what is there, and no stage before it has written anything.
        StageError: same as above, but one has.
    """
    _check_before(stages)
    written = False
    for number, stage in enumerate(stages, 1):
        try:
            result = run_stage(stage, plain)
        except ConfigError as error:
            if not written:
                raise
            what = f"stage {number} ({stage.name}): {error.what}"
            raise StageError(what, error.why, f"{error.fix}; the stages before it are finished") from error
        written = written or not getattr(result, "done_before", False)
        yield stage, result


def _check_before(stages: list[Stage]) -> None:
    """Check what needs no stage to have run: it would otherwise fail when others have taken their time."""
    for stage in stages:
        if stage.name == "caption":
            from glitbuild.stages.caption.endpoint import require_openai
            from glitbuild.stages.caption.prompt import read_prompt

            require_openai()
            read_prompt(stage.options.prompt)


def run_stage(stage: Stage, plain: bool = False) -> Any:
    """Run one stage; return what its command reports."""
    return COMMANDS[stage.name].load_run()(stage.options, plain)


@dataclass(frozen=True, slots=True)
class RunOptions(Options):
    """Run the stages of a PIPELINE file; what is finished is passed over."""

    pipeline: str = field(metadata=about("YAML file with the stages.", argument=True))


def run_file(options: RunOptions, plain: bool = False) -> None:
    """Run the stages of a pipeline file, and say after each what it came to.

    Raises:
        ConfigError: as ``load_pipeline`` and ``run_pipeline``.
        StageError: as ``run_pipeline``.
    """
    for stage, result in run_pipeline(load_pipeline(options.pipeline), plain):
        report(stage.name, stage.options, result)
