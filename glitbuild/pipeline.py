"""A pipeline file: the stages of ``glitbuild run``, one after the other, with the commands' options."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from glitbuild.errors import ConfigError, StageError
from glitbuild.recipe import read_recipe
from glitbuild.shards.schemas import misfit
from glitbuild.stages.caption.options import CaptionOptions
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.export.command import ExportOptions
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.publish.hub.command import PushOptions
from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.options import TrainOptions


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
    return [_stage(name, options) for stage in content["stages"] for name, options in stage.items()]


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
        if isinstance(stage.options, CaptionOptions):
            from glitbuild.stages.caption.endpoint import require_openai
            from glitbuild.stages.caption.prompt import read_prompt

            require_openai()
            read_prompt(stage.options.prompt)


def run_stage(stage: Stage, plain: bool = False) -> Any:
    """Run one stage; return what its command reports."""
    options = stage.options
    if isinstance(options, IngestOptions):
        from glitbuild.stages.ingest.command import run_ingest

        return run_ingest(options, plain)
    if isinstance(options, CaptionOptions):
        from glitbuild.stages.caption.command import run_caption

        return run_caption(options, plain)
    if isinstance(options, ScenesOptions):
        from glitbuild.stages.scenes.command import run_scenes

        return run_scenes(options, plain)
    if isinstance(options, TrainOptions):
        from glitbuild.stages.train.command import run_train

        return run_train(options, plain)
    if isinstance(options, EvalOptions):
        from glitbuild.stages.evaluate.command import run_eval
        from glitbuild.stages.evaluate.report import write_files

        report = run_eval(options, plain)
        write_files(report, options)
        return report
    if isinstance(options, ExportOptions):
        from glitbuild.stages.export.command import run_export

        return run_export(options)
    if isinstance(options, PreviewOptions):
        return run_preview(options, plain)
    if isinstance(options, PushOptions):
        from glitbuild.stages.publish.hub.command import plan_push, run_push

        return plan_push(options, plain) if options.dry_run else run_push(options, plain)
    from glitbuild.stages.match.command import run_match

    return run_match(options, plain)


def _stage(name: str, options: dict[str, Any]) -> Stage:
    if isinstance(columns := options.get("keep_columns"), str):
        options = options | {"keep_columns": columns.split(",")}
    make: dict[str, Callable[..., Any]] = {
        "ingest": IngestOptions,
        "caption": CaptionOptions,
        "match": MatchOptions,
        "scenes": ScenesOptions,
        "train": TrainOptions,
        "eval": EvalOptions,
        "export": ExportOptions,
        "preview": PreviewOptions,
        "push": PushOptions,
    }
    return Stage(name, make[name](**options))
