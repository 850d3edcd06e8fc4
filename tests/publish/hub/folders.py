"""Small datasets to push, and processes that push them."""

from multiprocessing import get_context
from pathlib import Path

from glitbuild.records import Sample, Source
from glitbuild.shards.manifest import write_manifest
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from tests.factories import matched_sample_with_jpeg, sample_with_jpeg

REPO = "anna/birds"


def make_dataset(
    folder: Path, shards: int, matched: bool = True, licence: str = "CC BY 4.0", first: int = 0
) -> None:
    """Write a finished dataset of one sample a shard; ``first`` numbers its samples."""
    store, config = Store(str(folder)), {"stage": "match" if matched else "ingest", "detector": "none"}
    sidecars = []
    for index in range(shards):
        sample, jpeg = (matched_sample_with_jpeg if matched else sample_with_jpeg)(first + index)
        source = Source("birds of prey", str(index), license=licence)
        licensed = Sample(sample.key, sample.caption, sample.image, source, sample.matched)
        sidecars.append(write_shard(store, f"{index:05d}", [(licensed, jpeg)], config, dict))
    write_manifest(store, sidecars, config, {"glitbuild": "0.1.0"})


def push_in_a_process(url: str, folder: str, commit_files: int) -> int | None:
    """Push a dataset in a process of its own; return its exit code, which is negative where it was killed.

    The process is forked from one that has imported everything.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["datasets", "tests.publish.hub.folders", "glitbuild.publish.hub.run"])
    process = context.Process(target=_push, args=(url, folder, commit_files))
    process.start()
    process.join(120)
    return process.exitcode


def _push(url: str, folder: str, commit_files: int) -> None:
    import os

    from huggingface_hub import constants

    from glitbuild.publish.hub import contents
    from glitbuild.publish.hub.options import PushOptions
    from glitbuild.publish.hub.run import run_push

    os.environ["HF_TOKEN"] = "hf_annas"
    constants.ENDPOINT, constants.HF_HUB_DISABLE_XET = url, True
    contents.COMMIT_FILES = commit_files
    run_push(PushOptions(folder, REPO), plain=True)
