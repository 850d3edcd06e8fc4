"""The commands as Python functions that take the same options under the same names."""

from collections.abc import Callable
from functools import wraps
from inspect import cleandoc, signature
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from glitbuild.engine.task import Result
from glitbuild.options import declared
from glitbuild.stages.caption.options import CaptionOptions
from glitbuild.stages.evaluate.options import EvalOptions
from glitbuild.stages.export.command import ExportOptions
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.publish.hub.command import PushOptions
from glitbuild.stages.publish.page.preview import PreviewOptions
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.train.options import TrainOptions

if TYPE_CHECKING:
    from glitbuild.stages.evaluate.report import Report
    from glitbuild.stages.export.command import Exported
    from glitbuild.stages.publish.hub.command import Pushed
    from glitbuild.stages.publish.hub.remote import Contents
    from glitbuild.stages.publish.page.preview import Preview
    from glitbuild.stages.train.command import Trained

Given = ParamSpec("Given")
Taken = TypeVar("Taken")
Returned = TypeVar("Returned")


def command(
    options: Callable[Given, Taken],
) -> Callable[[Callable[[Taken], Returned]], Callable[Given, Returned]]:
    """Turn a function of one options object into a function of keyword arguments, documented like the command.

    Args:
        options: dataclass with the command's options.
    """

    def decorate(run: Callable[[Taken], Returned]) -> Callable[Given, Returned]:
        @wraps(run)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
            return run(options(*args, **kwargs))

        takes = signature(options)
        helps = {each.name: each.option.help for each in declared(cast(type, options))}
        lines = [f"    {name}: {helps[name]}" for name in takes.parameters]
        call.__doc__ = f"{cleandoc(run.__doc__ or '')}\n\nArgs:\n" + "\n".join(lines)
        call.__signature__ = takes.replace(return_annotation=run.__annotations__["return"])  # type: ignore[attr-defined]
        return call

    return decorate


@command(ScenesOptions)
def scenes(options: ScenesOptions) -> Result:
    """Draw a dataset of scenes whose regions and sentences are known, as ``glitbuild scenes`` does.

    Example:
        >>> import glitbuild
        >>> glitbuild.scenes(count=2, out="data/scenes").manifest.totals["samples"]
        2
    """
    from glitbuild.stages.scenes.command import run_scenes

    return run_scenes(options)


@command(IngestOptions)
def ingest(options: IngestOptions) -> Result:
    """Read images with captions, check them and write WebDataset shards, as ``glitbuild ingest`` does.

    Example:
        >>> import glitbuild
        >>> result = glitbuild.ingest("photos", out="data/raw")
        >>> result.manifest.totals["samples"], result.manifest.skipped
        (2, {'image_not_an_image': 1})
    """
    from glitbuild.stages.ingest.command import run_ingest

    return run_ingest(options)


@command(CaptionOptions)
def caption(options: CaptionOptions) -> Result:
    """Write long captions for images that have none, with a vision model, as ``glitbuild caption`` does.

    Example:
        >>> import glitbuild
        >>> server = {"endpoint": "http://localhost:8000/v1", "model": "llava"}
        >>> try:
        ...     glitbuild.caption("data/pairs", out="data/again", **server)
        ... except glitbuild.errors.ConfigError as error:
        ...     print(error.why)
        its images already have captions
    """
    from glitbuild.stages.caption.command import run_caption

    return run_caption(options)


@command(MatchOptions)
def match(options: MatchOptions) -> Result:
    """Pair the sentences of each caption with regions of its image, as ``glitbuild match`` does.

    Example:
        >>> import glitbuild
        >>> _ = glitbuild.scenes(count=1, out="data/one")
        >>> result = glitbuild.match("data/one", out="data/matched", detector="demo", clip_model="demo", workers=0)
        >>> result.manifest.totals["pairs"] == len(glitbuild.read("data/matched")[0].pairs)
        True
    """
    from glitbuild.stages.match.command import run_match

    return run_match(options)


@command(TrainOptions)
def train(options: TrainOptions) -> "Trained":
    """Fine-tune a CLIP model on a matched dataset for captions of up to 248 tokens, as ``glitbuild train`` does.

    Example:
        >>> import glitbuild
        >>> trained = glitbuild.train("data/pairs", out="runs/one", model="demo", epochs=1, batch_size=2)
        >>> trained.steps
        2
        >>> glitbuild.load_clip("runs/one").context_length
        248
    """
    from glitbuild.stages.train.command import run_train

    return run_train(options)


@command(EvalOptions)
def evaluate(options: EvalOptions) -> "Report":
    """Evaluate a model on a dataset, as ``glitbuild eval`` does.

    Example:
        >>> import glitbuild
        >>> report = glitbuild.evaluate("demo", "data/pairs", suite="retrieval", context_length=77)
        >>> list(report.suites)
        ['retrieval']
    """
    from glitbuild.stages.evaluate.command import run_eval

    return run_eval(options)


@command(ExportOptions)
def export(options: ExportOptions) -> "Exported":
    """Export the model of a run to a folder that other libraries can load, as ``glitbuild export`` does.

    Example:
        >>> import glitbuild
        >>> glitbuild.export("demo", to="exported", format="open_clip").context_length
        77
    """
    from glitbuild.stages.export.command import run_export

    return run_export(options)


@command(PreviewOptions)
def preview(options: PreviewOptions) -> "Preview":
    """Write an HTML file that shows images with their regions and sentences, as ``glitbuild preview`` does.

    Example:
        >>> import glitbuild
        >>> glitbuild.preview("data/pairs", out="preview.html").samples
        4
    """
    from glitbuild.stages.publish.page.preview import run_preview

    return run_preview(options)


@command(PushOptions)
def push(options: PushOptions) -> "Pushed | Contents":
    """Upload a dataset or a model to the Hugging Face Hub, as ``glitbuild push`` does.

    With ``dry_run``, nothing is uploaded: the function returns what would be.

    Example:
        >>> import glitbuild
        >>> glitbuild.push("data/pairs", "anna/birds", license="cc-by-4.0", dry_run=True).kind
        'dataset'
    """
    from glitbuild.stages.publish.hub.command import run_push

    return run_push(options)
