"""The ``caption`` command: check, request the captions shard by shard, write the manifest."""

import logging
from dataclasses import asdict
from functools import partial

from glitbuild.engine.derive import Derivation, open_input_and_output
from glitbuild.engine.progress import Progress
from glitbuild.engine.task import Result
from glitbuild.errors import ConfigError, DatasetError
from glitbuild.options import content_of
from glitbuild.records import Sample
from glitbuild.shards.layout import tar_path
from glitbuild.shards.output import writing
from glitbuild.shards.reader import read_shard
from glitbuild.shards.sidecar import Config, Sidecar
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from glitbuild.stages.caption.endpoint import Prompt, read_prompt, require_openai
from glitbuild.stages.caption.options import CaptionOptions
from glitbuild.stages.caption.worker import Captioner

log = logging.getLogger(__name__)


def run_caption(options: CaptionOptions, plain: bool = False) -> Result:
    """Caption a dataset of images without captions; the result is a new dataset directory.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.

    Raises:
        ConfigError: the options are invalid; nothing has been written.
        EndpointError: the endpoint doesn't answer; finished shards are kept, and another run resumes.
    """
    source, manifest, out = open_input_and_output(options.dir, options.out)
    if manifest.has_captions:
        fix = f"to replace them, omit them first: glitbuild ingest {options.dir} --no-captions --out ..."
        raise ConfigError(options.dir, "its images already have captions", fix)
    prompt = read_prompt(options.prompt)
    require_openai()
    config = _config(options, prompt) | manifest.of_columns

    with writing(out):
        derivation = Derivation(source, manifest, out, config, options.overwrite)
        if derivation.finished:
            return derivation.finished
        if not derivation.todo:
            derivation.prepare()
            return derivation.finish(0.0)
        with (
            Progress("caption", derivation.images, plain) as progress,
            Captioner(options, prompt, progress.advance) as captioner,
        ):
            for number, task in enumerate(derivation.todo):
                samples = list(read_shard(source, task.shard, task.sha256))
                outcomes = captioner.caption(
                    samples, {} if options.overwrite else _captioned_before(out, task.shard)
                )
                if not number:
                    derivation.prepare()  # only once the endpoint has answered, as --overwrite removes files
                write_shard(out, task.shard, outcomes, config, partial(asdict, task))
        return derivation.finish(progress.rate)


def _captioned_before(out: Store, shard: str) -> dict[str, Sample]:
    """Return the samples that a shard had before its input changed, by key; none if it is damaged."""
    try:
        sidecar = Sidecar.read(out, shard)
        if sidecar is None:
            return {}
        return {sample.key: sample for sample, _ in read_shard(out, shard, sidecar.files[tar_path(shard)].sha256)}
    except DatasetError as error:
        log.debug("requesting its captions again: %s", error)
        return {}


def _config(options: CaptionOptions, prompt: Prompt) -> Config:
    """Return the options that determine the captions; the endpoint and the request options may change."""
    return {"stage": "caption", "prompt_sha256": prompt.sha256} | content_of(options)
