"""How many files of the package does one thought cross: those with a function that runs while one row is ingested.

    python benchmarks/hops.py

A row whose picture is a URL, and one whose picture is a file, from the call of ``run_ingest`` to its return, in all
threads. Functions that run while modules are imported don't count.
"""

import io
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the server is that of the tests

import glitbuild
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from tests.factories import jpeg
from tests.stages.ingest.download.server import Server

PACKAGE = str(Path(glitbuild.__file__).parent)


def crossed(action: Callable[[], Any]) -> Counter[str]:
    """Return the files of the package in which functions ran, with the number of different functions."""
    seen: set[tuple[str, str]] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name != "<module>":
            seen.add((code.co_filename, code.co_qualname))

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return Counter(str(Path(name).relative_to(PACKAGE)) for name, _ in seen)


def main() -> None:
    """Run and print."""
    with Server([jpeg()]) as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.jpg").write_bytes(jpeg())
        for what, image in (("a URL", server.url("ok/0.jpg")), ("a file", "a.jpg")):
            (folder / "rows.jsonl").write_text(json.dumps({"image": image, "caption": "Noise."}) + "\n")
            out = io.StringIO()
            for repeat in range(2):  # the first imports what comes lazily
                options = IngestOptions(
                    (str(folder / "rows.jsonl"),), str(folder / f"{what}-{repeat}"), allow_private_hosts=True
                )
                files = crossed(lambda options=options: run_ingest(options, plain=True))  # type: ignore[misc]
            for file, functions in sorted(files.items()):
                print(f"  {file}: {functions}", file=out)
            print(f"{what}: {len(files)} files, {sum(files.values())} functions")
            print(out.getvalue(), end="")


if __name__ == "__main__":
    main()
