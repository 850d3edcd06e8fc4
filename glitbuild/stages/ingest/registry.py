"""From what the command line names to opened inputs."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from glitbuild.errors import GlitbuildError, SourceError
from glitbuild.files import is_stray
from glitbuild.stages.ingest.files import why
from glitbuild.stages.ingest.formats.corpora import CORPORA
from glitbuild.stages.ingest.formats.csv import CsvSource
from glitbuild.stages.ingest.formats.folder import IMAGE_SUFFIXES, FolderSource
from glitbuild.stages.ingest.formats.hf import INFO, HuggingFaceSource, is_saved
from glitbuild.stages.ingest.formats.jsonl import JsonlSource
from glitbuild.stages.ingest.formats.parquet import ParquetSource, check_end
from glitbuild.stages.ingest.formats.webdataset import WebDatasetSource
from glitbuild.stages.ingest.remote import UNPACKED, AnyPath, RemotePath, check_content, kind_of, locate
from glitbuild.stages.ingest.source import RowSource, SourceOptions

__all__ = ["FORMATS", "SourceOptions", "open_sources"]

FORMATS = ("auto", "folder", "jsonl", "csv", "parquet", "webdataset", "hf", *CORPORA)

SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".tar": "webdataset",
}


def open_sources(specs: Sequence[str], options: SourceOptions) -> list[RowSource]:
    """Open and check every input, before any row is read.

    Args:
        specs: paths or fsspec URLs, or with ``--format hf`` names on the Hugging Face Hub.
        options: apply to all of them.

    Raises:
        SourceError: an input is missing, of an unknown format, lacks a column, or is given twice.
    """
    if options.format not in FORMATS:
        raise SourceError(f"--format {options.format}", f"unknown; the formats are: {', '.join(FORMATS)}")
    sources: list[RowSource] = []
    seen: set[AnyPath | str] = set()
    for spec in specs:
        try:
            path = Path(spec) if options.format == "hf" else locate(spec)
            kind = _kind(spec, path, options)
            same = _tar_folder(path).resolve() if path.exists() else spec
            if same in seen:
                raise SourceError(spec, "the same input is given twice", "name each once")
            seen.add(same)
            sources.append(_open(kind, spec, path, options))
        except OSError as error:
            raise SourceError(spec, f"can't be read: {why(error)}") from error
        except Exception as error:  # every remote file system has errors of its own
            if "://" not in spec or isinstance(error, GlitbuildError):
                raise
            raise SourceError(spec, f"can't be read: {why(error)}", "check address and credentials") from error
    return sources


def _kind(spec: str, path: AnyPath, options: SourceOptions) -> str:
    kind = _detect(spec, path) if options.format == "auto" else options.format
    if kind != "hf" and not path.exists():
        raise SourceError(spec, "no such file or folder")
    if kind != "hf" and kind not in CORPORA and options.split is not None:
        why_not = f"--split is for Hugging Face datasets and known corpora; this is a {kind}"
        raise SourceError(spec, why_not, "leave it out")
    return kind


def _detect(spec: str, path: AnyPath) -> str:
    if not path.exists():
        fix = "for a dataset on the Hugging Face Hub add --format hf"
        raise SourceError(spec, "no such file or folder", fix)
    if path.is_dir():
        return _detect_folder(path)
    kind = SUFFIXES.get(PurePosixPath(_unpacked(path.name)).suffix.lower())
    if kind not in UNPACKED and _unpacked(path.name) != path.name:
        kind = None
    kind = kind or kind_of(path)
    if kind is None:
        check_content(path, "")
        problem = f"unknown file extension; known are {', '.join(SUFFIXES)}"
        raise SourceError(spec, problem, "name the format with --format")
    return kind


def _unpacked(name: str) -> str:
    return name[:-3] if name.lower().endswith(".gz") else name


def _detect_folder(path: AnyPath) -> str:
    if is_saved(path):
        return "hf"
    if _tar_folder(path) != path:
        return "webdataset"
    entries = [entry for entry in path.iterdir() if entry.name[0] != "." and not is_stray(entry.name)]
    suffixes = {entry.suffix.lower() for entry in entries}
    # Tars and Parquet files often have indices, statistics or a README beside them, but no pictures.
    if not suffixes & IMAGE_SUFFIXES and not any(entry.is_dir() for entry in entries):
        for suffix in (".tar", ".parquet"):
            if suffix in suffixes:
                return SUFFIXES[suffix]
        if any(entry.name == INFO for entry in entries):
            why_not = f"it has a {INFO} but no state.json, so it is no whole dataset that save_to_disk wrote"
            raise SourceError(path.name, why_not, "load it with datasets and save it with save_to_disk")
    return "folder"


def _open(kind: str, spec: str, path: AnyPath, options: SourceOptions) -> RowSource:
    if kind == "hf":
        if isinstance(path, RemotePath):
            raise SourceError(spec, "what datasets saved can't be read by a URL", "download it first")
        return HuggingFaceSource(spec, path.resolve().name if path.exists() else spec, options)
    if kind in CORPORA:
        return CORPORA[kind](path.absolute(), options)  # a link stands where its pictures do
    name = path.resolve().name if path.is_dir() else PurePosixPath(_unpacked(path.name)).stem
    if kind in ("webdataset", "parquet"):
        suffix = ".tar" if kind == "webdataset" else ".parquet"
        files = _files(spec, _tar_folder(path) if kind == "webdataset" else path, suffix)
        for file in files:
            check_content(file, kind)
            if kind == "parquet":
                check_end(file)
        return (
            WebDatasetSource(files, name, options) if kind == "webdataset" else ParquetSource(files, name, options)
        )
    if path.is_dir() != (kind == "folder"):
        raise SourceError(spec, f"it is a {'folder' if path.is_dir() else 'file'}, and --format is {kind}")
    if kind == "folder":
        return FolderSource(path, name, options)
    check_content(path, kind)
    return JsonlSource(path, name, options) if kind == "jsonl" else CsvSource(path, name, options)


def _tar_folder(path: AnyPath) -> AnyPath:
    """Return ``shards/`` of a glitbuild dataset directory; any other path as it is."""
    shards = path / "shards"
    return shards if any(shards.glob("[!.]*.tar")) else path


def _files(spec: str, path: AnyPath, suffix: str) -> list[AnyPath]:
    """Return a file itself, or the files of that suffix in a folder, by name."""
    if not path.is_dir():
        return [path]
    files = sorted(
        (entry for entry in path.iterdir() if entry.suffix.lower() == suffix and entry.name[0] != "."),
        key=lambda entry: entry.name,
    )
    if not files:
        raise SourceError(spec, f"no {suffix} file in this folder")
    return files
