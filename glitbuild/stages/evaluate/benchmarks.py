"""Published benchmarks in their own layouts: which one a folder is, and a model's metrics on it."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from glitbuild.clip.encoder import ClipEncoder, choose_device
from glitbuild.clip.load import CONTEXT_LENGTH, ClipSpec
from glitbuild.engine.progress import Progress
from glitbuild.engine.task import usable_cpus, versions_of
from glitbuild.errors import ConfigError
from glitbuild.options import EVAL
from glitbuild.shards.layout import FOLDERS, MANIFEST
from glitbuild.shards.store import Store
from glitbuild.stages.evaluate.benchmark_files import digest
from glitbuild.stages.evaluate.benchmark_images import Benchmark, ImageStream
from glitbuild.stages.evaluate.composition import EXAMPLES, SUGARCREPE_FILES, read_sugarcrepe, read_winoground
from glitbuild.stages.evaluate.fgovd import FGOVD_FILES, read_fgovd
from glitbuild.stages.evaluate.options import FGOVD, SUGARCREPE, WINOGROUND, ZEROSHOT, EvalOptions
from glitbuild.stages.evaluate.report import Report
from glitbuild.stages.evaluate.zeroshot import (
    SHARDS,
    class_folders,
    images_below,
    read_image_folder,
    read_webdataset,
)

MOST_THREADS = 16
"""Number of threads that decode images."""

LAYOUTS = (
    f"a dataset directory ({MANIFEST}), sub-folders of images, one per class, a WebDataset of CLIP_benchmark "
    f"({SHARDS}), SugarCrepe ({SUGARCREPE_FILES[0]}, ...), Winoground ({EXAMPLES}) or FG-OVD "
    f"({next(iter(FGOVD_FILES))}, ...)"
)


def find_benchmark(options: EvalOptions) -> Callable[[], Benchmark] | None:
    """Return what reads the benchmark in DIR; None if DIR is, or should be, a dataset directory.

    Raises:
        ConfigError: DIR is a folder in none of the known layouts, or doesn't serve what the options ask for.
    """
    store = Store(options.dir)
    root = Path(store.root)
    if not store.is_local or not root.is_dir() or (root / MANIFEST).exists():
        return None
    found: tuple[str, Callable[[Path], Benchmark]]
    if (root / SHARDS).is_file():
        found = ZEROSHOT, read_webdataset
    elif any((root / name).is_file() for name in SUGARCREPE_FILES):
        found = SUGARCREPE, read_sugarcrepe
    elif (root / EXAMPLES).is_file():
        found = WINOGROUND, read_winoground
    elif any((root / name).is_file() for name in FGOVD_FILES):
        found = FGOVD, read_fgovd
    elif any(store.names(folder) for folder in FOLDERS):
        return None  # a dataset that isn't finished, which gets an error of its own
    elif any(next(images_below(folder), None) for folder in class_folders(root)):
        found = ZEROSHOT, read_image_folder
    else:
        raise ConfigError(options.dir, "its layout is unknown", f"give {LAYOUTS}")
    _check_options(options, found[0])
    return partial(found[1], root)


def run_benchmark(options: EvalOptions, read: Callable[[], Benchmark], plain: bool) -> Report:
    """Return the metrics of a model on a benchmark.

    Args:
        options: options of the command.
        read: what reads the benchmark.
        plain: whether to report progress as lines even on a terminal.

    Raises:
        ConfigError: the benchmark lacks what its layout needs, or there is no GPU.
        DatasetError: the benchmark is damaged.
        ModelError: the model is unavailable, or its kind is not supported.
        EvaluationError: the model's embeddings are not finite.
    """
    spec = ClipSpec.parse(options.model, options.pretrained, options.facts, EVAL)
    benchmark, device, size = read(), choose_device(options.device), options.batch_size
    encoder = ClipEncoder(spec, device, image_batch=size, text_batch=size, context_length=options.context_length)
    start, threads = time.monotonic(), min(usable_cpus(), MOST_THREADS)
    tokens = encoder.tokenize(benchmark.texts)
    with Progress("eval", len(benchmark.images), plain) as progress:
        stream = ImageStream(encoder, benchmark.images, size, threads, progress)
        found = benchmark.measure(encoder.texts(tokens), stream.batches())
    return Report(
        model=spec.name,
        identity=spec.identity,
        reading={name: value for name, value in spec.changes.items() if name != CONTEXT_LENGTH},
        context_length=encoder.context_length,
        dataset=Store(options.dir).name,
        manifest=f"sha256:{digest([benchmark.described, stream.sha256])}",
        samples=len(tokens),
        images=len(benchmark.images),
        truncated=sum(text.truncated for text in tokens),
        suites={benchmark.suite: found},
        device=device,
        seed=options.seed,
        seconds=round(time.monotonic() - start, 1),
        versions=versions_of("eval"),
    )


def _check_options(options: EvalOptions, suite: str) -> None:
    if options.protocol:
        why = f"{options.dir} has the layout of {suite}, and protocols are for dataset directories"
        raise ConfigError(f"--protocol {options.protocol}", why, "omit it")
    for name in options.suites or ():
        if name != suite:
            why = f"{options.dir} has the layout of {suite}"
            raise ConfigError(f"--suite {name}", why, f"give {suite}, or omit it")
    for given, option in ((options.gpus, "--gpus"), (options.workers, "--workers"), (options.cache, "--cache")):
        if given:
            why = f"not supported for {suite}: benchmarks are evaluated in this process"
            raise ConfigError(f"{option} {given}", why, "omit it")
