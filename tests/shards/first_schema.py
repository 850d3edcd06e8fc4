"""Datasets of the schema ``glit/1``, as version 0.1 wrote them, and what they were made from.

``data/glit-1.tar.xz`` holds a folder ``photos`` of three pictures and an empty file, and what ``ingest photos
--shard-size 2`` (``raw``), the same with ``--no-captions`` (``bare``) and ``match raw --detector none --clip-model
demo`` (``pairs``) made of it.
"""

import tarfile
from pathlib import Path


def unpack(folder: Path) -> Path:
    """Write the datasets into a folder and return it."""
    with tarfile.open(Path(__file__).parent / "data" / "glit-1.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder
