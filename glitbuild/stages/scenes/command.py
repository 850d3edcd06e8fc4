"""The command ``scenes``: writes scenes as a dataset directory, with their truth."""

import hashlib
import logging
from collections.abc import Iterator

from glitbuild.engine.progress import Progress
from glitbuild.engine.task import Result, versions_of
from glitbuild.options import content_of
from glitbuild.records import ImageInfo, Sample, Source, to_json
from glitbuild.shards.layout import shard_name
from glitbuild.shards.manifest import prepare_directory, read_manifest, write_manifest
from glitbuild.shards.output import writing
from glitbuild.shards.sidecar import Config, finished_sidecars, written_sidecars
from glitbuild.shards.store import Store
from glitbuild.shards.writer import Outcome, write_shard
from glitbuild.stages.scenes.options import ScenesOptions
from glitbuild.stages.scenes.render import encode, render
from glitbuild.stages.scenes.truth import describe
from glitbuild.stages.scenes.world import make_scene

log = logging.getLogger(__name__)

GENERATOR = "scenes/1"
"""The version of the generator: equal versions, options and seeds make equal scenes."""


def run_scenes(options: ScenesOptions, plain: bool = False) -> Result:
    """Make scenes and write a dataset directory; one that was begun with these options is continued.

    Args:
        options: of the command.
        plain: progress as lines, also on a terminal.

    Raises:
        ConfigError: the options are wrong, or others than the directory was begun with.
    """
    out = Store(options.out)
    config = _config(options)
    with writing(out):
        return _make(out, options, config, plain)


def _make(out: Store, options: ScenesOptions, config: Config, plain: bool) -> Result:
    """Write the shards that are missing, and the manifest."""
    shards = {shard_name(k): _rows(options, k) for k in range(-(-options.count // options.shard_size))}
    todo = list(shards)
    if not options.overwrite:
        # A shard behind the last would be of another count, which the check of the options says.
        done = set()
        for sidecar in written_sidecars(out):
            sidecar.check_config(out, config)
            done.add(sidecar.shard)
        todo = [shard for shard in shards if shard not in done]
        if not todo and (manifest := read_manifest(out)):
            return Result(manifest, done_before=True)
    prepare_directory(out, options.overwrite, shards)
    with Progress("scenes", sum(len(shards[shard]) for shard in todo), plain) as progress:
        for shard in todo:
            _write(out, shard, options, shards[shard], config, progress)
        rate = progress.rate
    return Result(write_manifest(out, finished_sidecars(out, shards), config, versions_of("scenes")), False, rate)


def make_sample(options: ScenesOptions, index: int) -> tuple[Sample, bytes, bytes]:
    """Return one scene as a sample, its JPEG and its row of truth."""
    scene = make_scene(options, index)
    caption, truth = describe(scene)
    image = render(scene)
    jpeg = encode(image)
    info = ImageInfo(image.width, image.height, hashlib.sha256(jpeg).hexdigest(), "jpeg", reencoded=False)
    source = Source(
        "glitbuild-scenes", f"{scene.split}/{scene.seed}/{index}", license="Apache-2.0", split=scene.split
    )
    return Sample(scene.key, caption, info, source), jpeg, to_json(truth)


def _write(out: Store, shard: str, options: ScenesOptions, rows: range, config: Config, progress: Progress) -> None:
    truth: list[bytes] = []

    def outcomes() -> Iterator[Outcome]:
        for index in rows:
            sample, jpeg, row = make_sample(options, index)
            truth.append(row + b"\n")
            progress.advance(1)
            yield sample, jpeg

    described = {"rows": [rows.start, rows.stop]}
    write_shard(out, shard, outcomes(), config, lambda: described, lambda: b"".join(truth))
    log.debug("shard %s done", shard)


def _rows(options: ScenesOptions, number: int) -> range:
    start = number * options.shard_size
    return range(start, min(start + options.shard_size, options.count))


def _config(options: ScenesOptions) -> Config:
    return {"stage": "scenes", "generator": GENERATOR} | content_of(options)
