"""The command ``caption``: check, ask for the captions shard by shard, write the manifest."""

from collections.abc import Callable
from functools import partial
from typing import Any

from glitbuild.caption.captioner import Captioner
from glitbuild.caption.endpoint import require_openai
from glitbuild.caption.options import CaptionOptions
from glitbuild.caption.prompt import Prompt, read_prompt
from glitbuild.engine.derive import derive, open_input_and_output
from glitbuild.engine.progress import Progress
from glitbuild.engine.result import Result
from glitbuild.engine.task import ShardTask
from glitbuild.errors import ConfigError
from glitbuild.shards.lock import writing
from glitbuild.shards.reader import read_shard
from glitbuild.shards.sidecar import Config
from glitbuild.shards.writer import write_shard


def run_caption(options: CaptionOptions, plain: bool = False) -> Result:
    """Caption a dataset of images alone, in a new dataset directory.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        ConfigError: the options are wrong; nothing has been written.
        EndpointError: the endpoint doesn't answer; what is finished stays, and a new run goes on.
    """
    source, manifest, out = open_input_and_output(options.dir, options.out)
    if manifest.has_captions:
        fix = f"to replace them, leave them out first: glitbuild ingest {options.dir} --no-captions --out ..."
        raise ConfigError(options.dir, "its images have captions", fix)
    prompt = read_prompt(options.prompt)
    require_openai()
    config = _config(options, prompt) | manifest.of_columns

    def make(todo: list[ShardTask], prepare: Callable[[], None]) -> float:
        sizes = {entry.name: entry.samples for entry in manifest.shards}
        total = sum(sizes[task.shard] for task in todo)
        with (
            Progress("caption", total, plain) as progress,
            Captioner(options, prompt, progress.advance) as captioner,
        ):
            for number, task in enumerate(todo):
                outcomes = captioner.caption(list(read_shard(source, task.shard, task.sha256)))
                if not number:
                    prepare()  # not before the endpoint has answered: --overwrite removes what is there
                write_shard(out, task.shard, outcomes, config, partial(_origin, task))
            return progress.rate

    with writing(out):
        return derive(manifest, out, config, options.overwrite, make)


def _origin(task: ShardTask) -> dict[str, Any]:
    return {"shard": task.shard, "sha256": task.sha256}


def _config(options: CaptionOptions, prompt: Prompt) -> Config:
    """Return the options that decide the captions; where they come from and how fast is left free."""
    return {
        "stage": "caption",
        "model": options.model,
        "prompt_sha256": prompt.sha256,
        "max_side": options.max_side,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
    } | ({} if options.seed is None else {"seed": options.seed})
