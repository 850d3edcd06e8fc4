"""Download speed of glitbuild and img2dataset with the same local server, images, processes and threads.

    python benchmarks/ingest.py --img2dataset OTHER/bin/python [--processes 2]

img2dataset needs a separate environment, because it requires webdataset < 0.3; without one, only glitbuild is run.
Each command has one process, or several with ``--processes``, with the given number of connections (threads in
img2dataset), and writes WebDataset shards of ``--shard-size``; the server is a separate process. glitbuild's single
process is the command itself; several are the workers of ``--workers``, in addition to the command. img2dataset is
run twice: with ``resize_mode=no``, where it decodes each image like glitbuild and then encodes it again, and with
``disable_all_reencoding``, where it decodes none.

Images per second are measured from the first request that the server sees to the last tar that is written. Seconds
and CPU seconds are those of the whole command, including its imports. Memory is the peak of all processes of the
command together (PSS). With ``--repeat``, the commands take turns and medians are printed.
"""

import argparse
import asyncio
import io
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageFilter

GLITBUILD = "from glitbuild.cli import main; main()"
DIFFERENT = 64
"""Number of distinct images, which the rows use in turn."""


@dataclass(frozen=True)
class Measured:
    """Measurements of one command."""

    images_per_second: float
    seconds: float
    processor_seconds: float
    peak_mib: float


def draw(number: int, width: int, height: int) -> bytes:
    """Return a JPEG about as detailed as a photograph."""
    generator = np.random.default_rng(number)
    small = generator.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.fromarray(generator.integers(0, 255, (height, width, 3), dtype=np.uint8))
    image = Image.blend(image, grain.filter(ImageFilter.GaussianBlur(1)), 0.3)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def serve(pictures: list[bytes], connection: Connection) -> None:
    """Serve until told to end; answer any other message with the time of the first request since the last one."""
    first: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                name = head.split(b" ", 2)[1]
                body = pictures[int(name[1:-4]) % len(pictures)]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n")
                writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
                if not first:
                    first.append(time.time())
                if b"onnection: close" in head:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
        connection.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(connection.recv) != "end":
            connection.send(first.pop())

    asyncio.run(run())


@contextmanager
def server(pictures: list[bytes]) -> Iterator[tuple[int, Connection]]:
    """Run the server in a separate process, and yield its port and a connection to it."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=serve, args=[pictures, there], daemon=True)
    process.start()
    try:
        yield here.recv(), here
    finally:
        here.send("end")
        process.join()


def measure(command: list[str], connection: Connection, out: Path, samples: int) -> Measured:
    """Run a command that writes tars below ``out``, and monitor its memory."""
    shutil.rmtree(out, ignore_errors=True)
    start, peak = time.perf_counter(), 0
    used: dict[int, float] = {}
    # One of img2dataset's libraries would check the network for a newer version.
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, look(watched, used))
        time.sleep(0.2)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{command}: {process.stderr.read() if process.stderr else ''}")
    tars = list(out.rglob("*.tar"))
    found = sum(map(pictures_in, tars))
    if found != samples:
        sys.exit(f"{command}: {found} of {samples} images")
    connection.send("first request")
    written = max(path.stat().st_mtime for path in tars)
    rate = samples / (written - connection.recv())
    return Measured(rate, seconds, sum(used.values()), peak / 2**20)


def pictures_in(path: Path) -> int:
    """Return the number of images in a shard."""
    with tarfile.open(path) as tar:
        return sum(name.endswith(".jpg") for name in tar.getnames())


def look(process: psutil.Process, used: dict[int, float]) -> int:
    """Return the memory of a process and all its descendants, with shared pages counted once.

    The CPU seconds of each process so far are stored in ``used``: Ray's processes are never waited for, so they
    would not be included in their parent's.
    """
    total = 0
    try:
        for member in (process, *process.children(recursive=True)):
            total += member.memory_full_info().pss
            times = member.cpu_times()
            used[member.pid] = times.user + times.system
    except psutil.Error:
        pass  # one of them has just ended
    return total


def glitbuild(folder: Path, threads: int, processes: int, shard: int) -> list[str]:
    """Return the glitbuild command."""
    connections = ["--connections", str(threads), "--connections-per-host", str(threads)]
    out = ["--out", str(folder / "glitbuild"), "--allow-private-hosts", "--duplicates=keep"]
    several = ["--workers", str(processes)] if processes > 1 else []
    words = [str(folder / "rows.jsonl"), *out, *connections, "--shard-size", str(shard), *several]
    return [sys.executable, "-c", GLITBUILD, "ingest", *words]


def img2dataset(
    python: str, folder: Path, threads: int, processes: int, shard: int, name: str, *more: str
) -> list[str]:
    """Return the equivalent img2dataset command."""
    columns = ["--input_format=jsonl", "--url_col=url", "--caption_col=caption"]
    size = [f"--processes_count={processes}", f"--thread_count={threads}", f"--number_sample_per_shard={shard}"]
    fair = ["--output_format=webdataset", "--retries=2", "--timeout=10", *more]
    start = [python, "-m", "img2dataset.main", f"--url_list={folder}/rows.jsonl"]
    return [*start, f"--output_folder={folder}/{name}", *columns, *size, *fair]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img2dataset", metavar="PYTHON", help="Python of an environment with img2dataset")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=32)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--shard-size", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--size", default="640x480", help="size of the images in pixels")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    pictures = [draw(number, width, height) for number in range(DIFFERENT)]
    mean = sum(map(len, pictures)) / len(pictures) / 1024
    with tempfile.TemporaryDirectory() as name, server(pictures) as (port, connection):
        folder = Path(name)
        rows = [
            {"url": f"http://127.0.0.1:{port}/{number}.jpg", "caption": f"Picture {number}."}
            for number in range(options.images)
        ]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        commands = {"glitbuild": glitbuild(folder, options.threads, options.processes, options.shard_size)}
        if options.img2dataset:
            for kind, more in (
                ("resize_mode=no", "--resize_mode=no"),
                ("undecoded", "--disable_all_reencoding=True"),
            ):
                several = (options.threads, options.processes, options.shard_size)
                theirs = img2dataset(options.img2dataset, folder, *several, kind, more)
                commands[f"img2dataset, {kind}"] = theirs
        print(
            f"{options.images:,} images of {options.size}, {mean:.0f} KiB; {options.processes} processes with ",
            end="",
        )
        print(f"{options.threads} connections; shards of {options.shard_size:,}\n")
        measured: dict[str, list[Measured]] = {what: [] for what in commands}
        for _ in range(options.repeat):
            for what, command in commands.items():
                out = folder / what.removeprefix("img2dataset, ")
                measured[what].append(measure(command, connection, out, options.images))
    print("| | images/s | seconds | CPU seconds | peak memory, MiB |\n| --- | ---: | ---: | ---: | ---: |")
    for what, runs in measured.items():
        values = (statistics.median(values) for values in zip(*map(astuple, runs), strict=True))
        rate, seconds, processor, peak = values
        print(f"| {what} | {rate:.0f} | {seconds:.1f} | {processor:.1f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
