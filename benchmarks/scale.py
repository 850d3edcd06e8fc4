"""Scaling of ingest with workers and with rows, and the cost of cutting each format into ranges.

    python benchmarks/scale.py photos     # photographs on disk, 2 workers compared with 1
    python benchmarks/scale.py urls       # images with 200 ms of latency, 4 workers compared with 1
    python benchmarks/scale.py rows       # a million rows compared with 10,000: cutting time, driver's memory
    python benchmarks/scale.py formats    # time and bytes per row of a cut, for every format

In ``photos`` and ``urls``, the worker counts take turns and medians are printed. Images per second are measured
from the start of the first shard to the completion of the last, excluding the start of Python and Ray; the seconds
are those of the whole command. The load is the machine's number of runnable processes just before a run and should
be 0, because other processes compete for the CPUs.
"""

import argparse
import asyncio
import gzip
import io
import json
import multiprocessing
import os
import pickle
import random
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from PIL import Image

from glitbuild.records import ImageInfo, Sample, Source
from glitbuild.stages.ingest import command
from glitbuild.stages.ingest.accept import accept
from glitbuild.stages.ingest.duplicates import Facts
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.ingest.plan import Start, cut_sources
from glitbuild.stages.ingest.registry import open_sources
from glitbuild.stages.ingest.source import Cut, Row, RowSource, SourceOptions
from glitbuild.stages.ingest.worker import Checked, IngestWorker

GLITBUILD = str(Path(sys.executable).with_name("glitbuild"))
SPAWN = multiprocessing.get_context("spawn")
T = TypeVar("T")
JPEG = b"\xff\xd8" + b"a picture that nobody looks at" + b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Run:
    """Measurements of one command."""

    images_per_second: float
    seconds: float
    processor_seconds: float
    load: float


def run(words: list[str], out: Path, samples: int) -> Run:
    """Run ``glitbuild ingest`` and check that it wrote the expected number of samples."""
    shutil.rmtree(out, ignore_errors=True)
    load, start, began = os.getloadavg()[0], time.time(), None
    process = psutil.Popen([GLITBUILD, "ingest", *words, "--out", str(out)], stderr=subprocess.PIPE, text=True)
    used: dict[int, float] = {}
    while process.poll() is None:
        if began is None and any(out.glob("shards/.*.tar*")):
            began = time.time()
        used |= dict(_processor_times(process))
        time.sleep(0.02 if began is None else 0.2)
    seconds = time.time() - start
    if process.returncode:
        sys.exit(process.stderr.read())
    assert began is not None
    sizes: dict[str, int] = json.loads((out / "shards" / "sizes.json").read_bytes())
    if sum(sizes.values()) != samples:
        sys.exit(f"{sum(sizes.values())} of {samples} samples")
    whole = max(path.stat().st_mtime for path in (out / "shards").glob("[0-9]*.json"))
    return Run(samples / (whole - began), seconds, sum(used.values()), load)


def _processor_times(process: psutil.Process) -> Iterator[tuple[int, float]]:
    for member in (process, *process.children(recursive=True)):
        try:
            times = member.cpu_times()
        except psutil.Error:
            continue
        yield member.pid, times.user + times.system


def compare(counts: list[int], words: list[str], out: Path, samples: int, repeat: int) -> None:
    """Run with each number of workers in turn, and print medians."""
    runs: dict[int, list[Run]] = {count: [] for count in counts}
    for _ in range(repeat):
        for count in counts:
            runs[count].append(run([*words, "--workers", str(count)], out, samples))
            print(f"{count} workers: {runs[count][-1]}", file=sys.stderr, flush=True)
    print("| workers | images/s | compared with 1 | total seconds | CPU seconds | load before |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    one = _median(runs[counts[0]], "images_per_second")
    for count, found in runs.items():
        rate, seconds, used, load = (_median(found, name) for name in Run.__slots__)
        print(f"| {count} | {rate:.1f} | {rate / one:.2f} x | {seconds:.1f} | {used:.1f} | {load:.1f} |")


def _median(runs: list[Run], name: str) -> float:
    return statistics.median(getattr(run, name) for run in runs)


def photos(options: argparse.Namespace, folder: Path) -> None:
    """Photographs on disk."""
    originals = sorted((options.assets / "photos").glob("*.jpg"))
    if not originals:
        sys.exit(f"{options.assets}/photos: no photographs; see --assets")
    chance, pixels, size = random.Random(0), 0, 0
    (folder / "in").mkdir()
    for number in range(options.images):
        with Image.open(originals[number % len(originals)]) as image:
            scale = (1.5e6 / (image.width * image.height)) ** 0.5
            large = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))
        left, top = chance.randrange(large.width // 8), chance.randrange(large.height // 8)
        photo = large.crop((left, top, left + large.width * 7 // 8, top + large.height * 7 // 8))
        path = folder / "in" / f"{number:05d}.jpg"
        photo.save(path, quality=chance.randrange(85, 96))
        path.with_suffix(".txt").write_text(f"Photograph number {number}.")
        pixels, size = pixels + photo.width * photo.height, size + path.stat().st_size
    mean, kib = pixels / options.images / 1e6, size / options.images / 1024
    print(f"{options.images} photographs, {mean:.2f} megapixels and {kib:.0f} KiB on average; ", end="")
    print(f"{os.cpu_count()} CPUs; medians of {options.repeat}\n")
    words = [str(folder / "in"), "--shard-size", str(options.shard_size)]
    compare([1, 2], words, folder / "out", options.images, options.repeat)


def serve(pictures: list[bytes], latency: float, connection: Connection) -> None:
    """Serve images, each after a delay; send the port through the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = pictures[int(re.findall(rb"\d+", head)[0])]
                await asyncio.sleep(latency)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n")
                writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def listen() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        connection.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(listen())


@contextmanager
def server(pictures: list[bytes], latency: float) -> Iterator[int]:
    """Run the server in a separate process, and yield its port."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=serve, args=[pictures, latency, there], daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def small_picture(number: int) -> bytes:
    """Return a JPEG of 128 x 96."""
    spots = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(spots).resize((128, 96), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def urls(options: argparse.Namespace, folder: Path) -> None:
    """Images from a slow server."""
    with server([small_picture(number) for number in range(options.images)], options.latency) as port:
        rows = (
            {"url": f"http://127.0.0.1:{port}/{n}.jpg", "caption": f"Spots {n}."} for n in range(options.images)
        )
        write_lines(folder / "rows.jsonl", (json.dumps(row) for row in rows))
        print(f"{options.images} images of 128 x 96, each after {options.latency * 1000:.0f} ms; ", end="")
        print(f"{options.connections} connections per worker; {os.cpu_count()} CPUs; ", end="")
        print(f"medians of {options.repeat}\n")
        connections = str(options.connections)
        words = [str(folder / "rows.jsonl"), "--shard-size", str(options.shard_size), "--allow-private-hosts"]
        words += ["--connections", connections, "--connections-per-host", connections]
        compare([1, 4], words, folder / "out", options.images, options.repeat)


def write_lines(path: Path, lines: Iterator[str]) -> Path:
    """Write lines."""
    with path.open("w") as file:
        file.writelines(line + "\n" for line in lines)
    return path


class StubWorker(IngestWorker):
    """Decodes no images: nine of ten rows become a sample of a few bytes, no two of them alike."""

    def _check(self, row: Row, source: int, key: str) -> Checked:
        number = int(key)
        if number % 10 == 9:
            return accept(row, key, self._plan.limits), Facts.of(row, source)
        digest = sha256(key.encode())
        image = ImageInfo(8, 8, digest.hexdigest(), "jpeg", False)
        sample = Sample(key, row.caption or "", image, Source("stub", row.source.id))
        return (sample, JPEG), Facts.of(row, source, sample, int.from_bytes(digest.digest()[:8], "big"))


def ingest_stubs(table: str, out: str, duplicates: str, connection: Connection) -> None:
    """Ingest in this process with the stub, and send the totals and the peak memory in MiB."""
    command.IngestWorker = StubWorker
    options = IngestOptions(source=(table,), out=out, duplicates=duplicates)
    result = command.run_ingest(options, plain=True)
    connection.send((result.manifest.totals, peak_mib()))


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def plan_rows(table: str, connection: Connection) -> None:
    """Cut a table in this process; send the seconds, the number of rows and the peak memory."""
    sources = open_sources([table], SourceOptions())
    start = time.perf_counter()
    rows = sum(len(found.cut) for found in cut_sources(sources, 1000, Start()))
    connection.send((time.perf_counter() - start, rows, peak_mib()))


def apart(function: Callable[..., None], *args: object) -> Any:
    """Call a function in a separate process, and return what it sends."""
    here, there = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=function, args=[*args, there])
    process.start()
    there.close()
    try:
        found = here.recv()
    except EOFError:
        sys.exit("the process failed")
    process.join()
    return found


def rows(options: argparse.Namespace, folder: Path) -> None:
    """Many rows, with a worker that decodes no images."""
    few, many = options.rows // 100, options.rows
    print("| rows | seconds to cut | microseconds per row | peak memory, MiB |\n| ---: | ---: | ---: | ---: |")
    for count in (few, options.rows // 10, many):
        lines = (_line(number) for number in range(count))
        table = write_lines(folder / f"{count}.jsonl", lines)
        seconds, found, peak = min(apart(plan_rows, str(table)) for _ in range(3))
        assert found == count
        print(f"| {count:,} | {seconds:.2f} | {1e6 * seconds / count:.2f} | {peak:.0f} |", flush=True)
    print(f"\nIngest with --duplicates {options.duplicates}, in threads of the driver:\n")
    print(
        "| rows | samples | skipped | seconds | driver's peak memory, MiB |\n| ---: | ---: | ---: | ---: | ---: |"
    )
    peaks: list[float] = []
    for count in (few, many):
        start, out = time.perf_counter(), folder / "out"
        table = folder / f"{count}.jsonl"
        totals, peak = apart(ingest_stubs, str(table), str(out), options.duplicates)
        peaks.append(peak)
        shutil.rmtree(out)
        seconds = time.perf_counter() - start
        print(
            f"| {count:,} | {totals['samples']:,} | {totals['skipped']:,} | {seconds:.0f} | {peak:.1f} |",
            flush=True,
        )
    print(f"\n{peaks[1] - peaks[0]:+.1f} MiB from {few:,} to {many:,} rows")


def _line(number: int) -> str:
    caption = f"A caption of row {number}, about as long as a sentence that somebody wrote of a photograph."
    return json.dumps({"id": f"row-{number}", "image": f"pictures/{number:09d}.jpg", "caption": caption})


def formats(options: argparse.Namespace, folder: Path) -> None:
    """Every format."""
    count, size = options.rows, options.shard_size
    print(f"{count:,} rows in ranges of {size:,}; best of {options.repeat}\n")
    print("| input | cut, µs per row | size of a range, bytes per row | read the last range, µs per row |")
    print("| --- | ---: | ---: | ---: |")
    for name, (format, path) in inputs(folder, count).items():
        (source,) = open_sources([str(path)], SourceOptions(format))
        seconds, (last, carried) = best(options.repeat, partial(_cut, source, size))
        first = (count - 1) // size * size
        reading, read = best(options.repeat, partial(_read, source, last, first))
        assert read == len(last) == count - first, name
        print(f"| {name} | {1e6 * seconds / count:.1f} | {carried / count:.1f} | {1e6 * reading / read:.1f} |")


def _cut(source: RowSource, size: int) -> tuple[Cut, int]:
    carried = 0
    for last in source.cut(size):
        carried += len(pickle.dumps(last))
    return last, carried


def _read(source: RowSource, cut: Cut, first: int) -> int:
    return sum(1 for _ in source.read(cut, first))


def best(repeat: int, function: Callable[[], T]) -> tuple[float, T]:
    """Return the shortest duration of a function in seconds, and its result."""
    times: list[float] = []
    for _ in range(repeat):
        start = time.perf_counter()
        found = function()
        times.append(time.perf_counter() - start)
    return min(times), found


def inputs(folder: Path, count: int) -> dict[str, tuple[str, Path]]:
    """Write the same rows in every format; return the format's name and the path of each."""
    import datasets
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    records = [json.loads(_line(number)) for number in range(count)]
    table = pyarrow.Table.from_pylist(records)
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    images = [{"bytes": JPEG * 200, "path": None}] * count
    embedded = table.set_column(1, "image", pyarrow.array(images, kind))
    lines = write_lines(folder / "rows.jsonl", map(json.dumps, records))
    with gzip.open(folder / "packed.jsonl.gz", "wb", compresslevel=6) as file:
        file.write(lines.read_bytes())
    for name, delimiter in (("rows.csv", ","), ("rows.tsv", "\t")):
        pyarrow.csv.write_csv(table, folder / name, pyarrow.csv.WriteOptions(delimiter=delimiter))
    pyarrow.parquet.write_table(table, folder / "paths.parquet")
    (folder / "stream").mkdir()
    for path in (folder / "bytes.parquet", folder / "stream" / "train.parquet"):
        pyarrow.parquet.write_table(embedded, path, row_group_size=100)
    with tarfile.open(folder / "rows.tar", "w") as tar:
        for record in records:
            for extension, data in (("jpg", JPEG), ("txt", record["caption"].encode())):
                info = tarfile.TarInfo(f"{record['id']}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    features = datasets.Features(
        {"id": datasets.Value("string"), "image": datasets.Image(), "caption": datasets.Value("string")}
    )
    saved = datasets.Dataset(embedded.replace_schema_metadata(None).cast(features.arrow_schema))
    datasets.disable_progress_bars()
    saved.save_to_disk(folder / "saved")
    (folder / "pictures").mkdir()
    (folder / "docci" / "images").mkdir(parents=True)
    for record in records:
        path = folder / record["image"]
        path.write_bytes(JPEG)
        path.with_suffix(".txt").write_text(record["caption"])
    write_lines(
        folder / "docci" / "docci_descriptions.jsonlines",
        (
            json.dumps(
                {
                    "example_id": record["id"],
                    "split": "train",
                    "image_file": record["image"],
                    "description": record["caption"],
                }
            )
            for record in records
        ),
    )
    return {
        "folder, a .txt next to each image": ("folder", folder / "pictures"),
        "jsonl": ("jsonl", lines),
        "jsonl.gz": ("jsonl", folder / "packed.jsonl.gz"),
        "csv": ("csv", folder / "rows.csv"),
        "tsv": ("csv", folder / "rows.tsv"),
        "parquet, paths": ("parquet", folder / "paths.parquet"),
        "parquet, bytes in row groups of 100": ("parquet", folder / "bytes.parquet"),
        "webdataset": ("webdataset", folder / "rows.tar"),
        "hf, saved to disk": ("hf", folder / "saved"),
        "hf, streamed (here from a local Parquet file)": ("hf", folder / "stream"),
        "docci, like every corpus with lists": ("docci", folder / "docci"),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)

    def add(function: Callable[[argparse.Namespace, Path], None], **defaults: object) -> None:
        sub = commands.add_parser(function.__name__, help=function.__doc__)
        for name, default in defaults.items():
            option = f"--{name.replace('_', '-')}"
            sub.add_argument(option, type=type(default), default=default, help="default: %(default)s")
        sub.set_defaults(function=function)

    assets = Path(os.environ.get("GLITBUILD_ASSETS", "../shared/assets"))
    add(photos, assets=assets, images=960, shard_size=20, repeat=3)
    add(urls, images=2400, latency=0.2, connections=8, shard_size=20, repeat=3)
    add(rows, rows=1_000_000, duplicates="exact")
    add(formats, rows=10_000, shard_size=1000, repeat=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        options.function(options, Path(name))


if __name__ == "__main__":
    main()
