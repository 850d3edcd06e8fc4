"""Small datasets to push, and processes that push them."""

import hashlib
import random
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from glitbuild.records import Sample, Source
from glitbuild.shards.manifest import write_manifest
from glitbuild.shards.store import Store
from glitbuild.shards.writer import write_shard
from tests.factories import matched_sample_with_jpeg, sample_with_jpeg

REPO = "anna/birds"


def make_dataset(
    folder: Path, shards: int, matched: bool = True, licence: str = "CC BY 4.0", first: int = 0, padding: int = 0
) -> None:
    """Write a finished dataset of one sample per shard.

    Args:
        folder: where it goes.
        shards: how many.
        matched: whether it has pairs.
        licence: of every sample.
        first: number of the first sample.
        padding: random bytes that follow each picture.
    """
    store, config = Store(str(folder)), {"stage": "match" if matched else "ingest", "detector": "none"}
    sidecars = []
    for index in range(shards):
        sample, jpeg = (matched_sample_with_jpeg if matched else sample_with_jpeg)(first + index)
        source = Source("birds of prey", str(index), license=licence)
        jpeg += random.Random(first + index).randbytes(padding)
        image = replace(sample.image, sha256=hashlib.sha256(jpeg).hexdigest())
        licensed = Sample(sample.key, sample.caption, image, source, sample.matched)
        sidecars.append(write_shard(store, f"{index:05d}", [(licensed, jpeg)], config, dict))
    write_manifest(store, sidecars, config, {"glitbuild": "0.1.0"})


def push_in_a_process(url: str, folder: str, commit_files: int, group_bytes: int = 0) -> int | None:
    """Push a dataset in a process of its own, which is forked from one that has imported everything.

    Args:
        url: of the Hub.
        folder: the dataset; the client's cache lies beside it.
        commit_files: most files of a commit.
        group_bytes: what the Xet storage gets at once; 0 to push over LFS.

    Returns:
        Its exit code, which is negative where it was killed.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["datasets", "tests.stages.publish.hub.folders", "glitbuild.stages.publish.hub.command"]
    )
    process = context.Process(target=_push, args=(url, folder, commit_files, group_bytes))
    process.start()
    process.join(120)
    return process.exitcode


def _push(url: str, folder: str, commit_files: int, group_bytes: int) -> None:
    import os

    from huggingface_hub import constants

    from glitbuild.stages.publish.hub import remote, upload
    from glitbuild.stages.publish.hub.command import PushOptions, run_push

    os.environ |= {"HF_TOKEN": "hf_annas", "HF_XET_CACHE": f"{folder}-xet"}
    constants.ENDPOINT, constants.HF_HUB_DISABLE_XET = url, not group_bytes
    remote.COMMIT_FILES, upload.GROUP_BYTES = commit_files, group_bytes
    run_push(PushOptions(folder, REPO), plain=True)
