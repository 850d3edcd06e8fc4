"""A folder of images, each with its caption beside it in a ``.txt`` or ``.json`` of the same name."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.files import is_stray
from glitbuild.records import Rejected, SkipReason, Source
from glitbuild.stages.ingest.columns import CAPTION_COLUMNS, boxes_of, check_fields, extra_of, to_caption, to_source
from glitbuild.stages.ingest.files import decode, parse_object, read_file, why
from glitbuild.stages.ingest.remote import AnyPath, RemotePath
from glitbuild.stages.ingest.source import Cut, Row, RowSource, SourceOptions, cut_at, digest

IMAGE_SUFFIXES = frozenset(
    [
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif"),
        *(".bmp", ".tif", ".tiff", ".avif", ".heic", ".jp2"),
    ]
)
log = logging.getLogger(__name__)

PEEK = 100
"""Files that are looked at to see where the captions are."""


HEAD = 1 << 16
"""Bytes of a text that tell whether it is the same; those of most are all of it."""


@dataclass(frozen=True, slots=True)
class _File:
    """An image with the texts beside it, or a text without an image; paths relative to the input.

    ``versions`` are those of the texts, where a remote listing tells them.
    """

    path: str
    text: str | None = None
    record: str | None = None
    versions: str = ""
    problem: Rejected | None = None


class FolderSource(RowSource):
    """A folder with its subfolders, in the order of the names; hidden files and folders are left out.

    Args:
        root: the folder.
        name: what its rows give as their dataset.
        options: ``caption_column``: the caption's field in the ``.json`` files, which then win over
            ``.txt`` files; ``captions``: without them ``.txt`` files are as if they were not there.

    Raises:
        SourceError: there is no image, or no ``.json`` has the named field.
    """

    def __init__(self, root: AnyPath, name: str, options: SourceOptions) -> None:
        self._root, self._name, self._column = root, name, options.caption_column
        self._with_captions, self._options = options.captions, options
        self._datasets: set[str] = set()
        if options.image_column is not None:
            raise SourceError(name, "a folder of images has no columns", "leave out --image-column")
        images = [file for file in islice(self._files(), PEEK) if file.problem is None]
        # Past the first hundred files, which may all be texts, one image is enough.
        images = images or list(islice((file for file in self._files() if file.problem is None), 1))
        if not images:
            raise SourceError(name, "no image in this folder", "see --format for other kinds of input")
        if self._column is not None or options.keep_columns or options.boxes_column is not None:
            self._check_columns(images)
        kinds = [".txt"] * any(file.text for file in images) + [".json"] * any(file.record for file in images)
        self._captions = " or ".join(kinds) + " captions" if kinds and self._with_captions else "no captions"

    @property
    def summary(self) -> str:
        """The folder, and where its captions are."""
        field = f', caption field "{self._column}"' if self._column is not None else ""
        return f"{self._name}: folder of images with {self._captions}{field}"

    def cut(self, size: int) -> Iterator[Cut]:
        """Cut by names, in their order: a range carries those of its pictures and of the texts beside them."""
        return cut_at(((self._digest(file), file) for file in self._files()), size)

    def read(self, cut: Cut, first: int) -> Iterator[Row]:
        """Yield a row per image, and a rejected one for a text without an image."""
        for file in cut.place:
            source = Source(self._name, file.path)
            try:
                if file.problem is not None:
                    raise file.problem
                record = self._record(file)
                caption = self._caption(file, record)
                extra, boxes = extra_of(record, self._options), boxes_of(record, self._options)
            except Rejected as rejected:
                yield Row.reject(source, rejected.reason, rejected.detail)
            else:
                source, read_image = (
                    to_source(record, self._name, file.path),
                    partial(read_file, self._root, file.path),
                )
                yield Row(source, caption, read_image, picture=file.path, extra=extra, boxes=boxes)

    def _digest(self, file: _File) -> bytes:
        named = f"{file.path}\0{file.versions}\0{file.problem or ''}"
        parts = [named.encode("utf-8", "surrogatepass")]
        parts += [self._told(text) for text in (file.text, file.record) if text is not None]
        return digest(b"\0".join(parts))

    def _told(self, path: str) -> bytes:
        """Return what tells whether a text is the same, beside its version: its name, beginning and size."""
        where = self._root / path
        if isinstance(where, RemotePath):
            return path.encode("utf-8", "surrogatepass")
        try:
            with where.open("rb") as opened:
                head = opened.read(HEAD)
                return head if len(head) < HEAD else head + str(opened.seek(0, 2)).encode()
        except (OSError, ValueError) as error:  # reading it gives its row the reason
            return why(error).encode()

    def _record(self, file: _File) -> dict[str, Any]:
        return parse_object(self._read(file.record), file.record) if file.record is not None else {}

    def _caption(self, file: _File, record: dict[str, Any]) -> str | None:
        if not self._with_captions:
            return None
        if self._column is not None:
            return to_caption(record.get(self._column), self._column)
        if file.text is not None:
            return decode(self._read(file.text))
        column = next((column for column in CAPTION_COLUMNS if column in record), None)
        return None if column is None else to_caption(record[column], column)

    def _read(self, path: str) -> bytes:
        try:
            return read_file(self._root, path)
        except Rejected as rejected:  # a text that can't be read is no missing image
            raise Rejected(SkipReason.ROW_UNREADABLE, rejected.detail) from rejected

    def _check_columns(self, images: list[_File]) -> None:
        records: list[dict[str, Any]] = []
        for file in images:
            with suppress(Rejected):  # rows() gives it its row
                records.append(self._record(file))
        fields = dict.fromkeys(name for record in records for name in record)
        if self._column is not None and self._column not in fields:
            there = ", ".join(fields) or "none"
            problem = f'no .json file beside an image has the field "{self._column}"; fields: {there}'
            raise SourceError(self._name, problem, "name one with --caption-column")
        check_fields(self._name, records, self._options)

    def _files(self) -> Iterator[_File]:
        """Walk depth first in the order of names, which is the order of the paths' parts."""
        # Real folders that were entered: a link back to one of them must not lead round for ever.
        seen: set[tuple[int, int]] = set()
        stack = [self._listing("", seen)]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
            elif isinstance(entry, str):
                stack.append(self._listing(entry, seen))
            else:
                yield entry

    def _kinds(self, folder: str, seen: set[tuple[int, int]]) -> dict[str, str | None]:
        """Return what a folder holds: None for a folder, for a file the version that a remote listing tells.

        Nothing for a folder that was entered before.
        """
        path = self._root / folder
        if isinstance(path, RemotePath):
            entries = (entry for entry in path.iterdir() if _is_input(entry.name))
            return {entry.name: None if entry.is_dir() else entry.version for entry in entries}
        status = path.stat()
        if (status.st_dev, status.st_ino) in seen:
            return {}
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(path) as found:
            return {entry.name: None if _is_folder(entry) else "" for entry in found if _is_input(entry.name)}

    def _holds_shards(self, folder: str) -> bool:
        """Return whether a folder has ``shards/`` with a shard of a glitbuild dataset, finished or not."""
        try:
            names = list(self._kinds(f"{folder}/shards", set()))
        except OSError:  # entering it reports the reason
            return False
        return any(re.fullmatch(r"\d{5,}\.(tar|json)", name) for name in names)

    def _listing(self, folder: str, seen: set[tuple[int, int]]) -> Iterator[_File | str]:
        """Yield a folder's files and the paths of its subfolders, by name."""
        try:
            kinds = self._kinds(folder, seen)
        except OSError as error:
            problem = Rejected(SkipReason.ROW_UNREADABLE, f"{folder or '.'}: {why(error)}")
            yield _File(folder or ".", problem=problem)
            return
        if folder and kinds.get("shards", "") is None and self._holds_shards(folder):
            # What is written here from this folder, or was, must not become a part of it.
            if folder not in self._datasets:
                log.info("ingest: %s: %s is a glitbuild dataset and no part of the folder", self._name, folder)
            self._datasets.add(folder)
            return
        paths = [PurePosixPath(folder, name) for name in sorted(kinds)]
        files = [path for path in paths if kinds[path.name] is not None]
        text = {".txt"} if self._with_captions else set()
        texts = {path.stem: str(path) for path in reversed(files) if path.suffix.lower() in text}
        records = {path.stem: str(path) for path in reversed(files) if path.suffix.lower() == ".json"}
        stems = {path.stem for path in files if path.suffix.lower() in IMAGE_SUFFIXES}
        lone = records | texts  # a text and an object of one name are one row, the text's
        for path in paths:
            if kinds[path.name] is None:
                yield str(path)
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                beside = texts.get(path.stem), records.get(path.stem)
                versions = "".join(str(kinds[PurePosixPath(text).name]) for text in beside if text)
                yield _File(str(path), *beside, versions)
            elif path.stem not in stems and str(path) == lone.get(path.stem):
                detail = f"{path}: no image of that name beside it"
                yield _File(str(path), problem=Rejected(SkipReason.IMAGE_MISSING, detail))
            elif other := _same_but_case(path, texts, records):
                detail = f"{path}: {other} is there as well"
                yield _File(str(path), problem=Rejected(SkipReason.DUPLICATE_KEY, detail))


def _same_but_case(path: PurePosixPath, *chosen: dict[str, str]) -> str:
    """Return the text or object that was chosen instead of one whose suffix differs in case only."""
    others = (PurePosixPath(found[path.stem]) for found in chosen if path.stem in found)
    same = (str(other) for other in others if other != path and other.suffix.lower() == path.suffix.lower())
    return next(same, "")


def _is_input(name: str) -> bool:
    return name[0] != "." and not is_stray(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; reading it then gives the reason
        return False
