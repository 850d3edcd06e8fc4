"""What ``save_to_disk`` wrote: its splits, the empty ones too, which ``datasets`` itself can't load."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from glitbuild.errors import SourceError
from glitbuild.records import writable
from glitbuild.stages.ingest.magic import check_content
from glitbuild.stages.ingest.remote import AnyPath

STATE, SPLITS = "state.json", "dataset_dict.json"
INFO = "dataset_info.json"
AGAIN = "copy the folder again, or load the dataset and save it again"


def is_saved(path: AnyPath) -> bool:
    """Return whether ``datasets`` saved a dataset in this folder."""
    return any((path / name).is_file() for name in (STATE, SPLITS))


def load_saved(name: str, path: Path, split: str | None = None) -> Any:
    """Return a saved dataset, or a dict of its splits, None for a split without rows.

    Args:
        name: of the dataset, for errors.
        path: of its folder.
        split: to be loaded alone, where there is such a one; None loads all.

    Raises:
        SourceError: it has no rows, something is missing, or a file is not what it should be.
    """
    if (path / STATE).is_file():
        if (data := _load(name, path)) is None:
            raise SourceError(name, "the saved dataset is empty: it has no rows", "give one that has some")
        return data
    splits = _object(name, path / SPLITS).get("splits")
    if not isinstance(splits, list) or not splits:
        raise SourceError(name, f"the saved dataset is empty: its {SPLITS} names no splits", AGAIN)
    names = [split] if split is not None and split in splits else [str(other) for other in splits]
    loaded = {part: _load(f"{name}/{part}", path / part) for part in names}
    if len(loaded) > 1 and all(data is None for data in loaded.values()):
        raise SourceError(name, f"the saved dataset is empty: no rows in {', '.join(loaded)}", "give one with rows")
    return loaded


def _load(name: str, path: Path) -> Any:
    import datasets

    if not (path / STATE).is_file():
        raise SourceError(name, f"no {STATE} in it, though {SPLITS} names this split", AGAIN)
    files = [entry.get("filename") for entry in _object(name, path / STATE).get("_data_files") or ()]
    for file in files:
        if not (path / str(file)).is_file():
            raise SourceError(name, f"no {file} in it, though {STATE} names it", AGAIN)
        check_content(path / str(file), "")
    if not files:
        return None
    if writable(str(path)) == str(path):
        return datasets.Dataset.load_from_disk(str(path))
    with TemporaryDirectory() as folder:  # a name that is not UTF-8 Arrow can't open; the files then stay open
        link = Path(folder, "dataset")
        link.symlink_to(path.absolute(), target_is_directory=True)
        return datasets.Dataset.load_from_disk(str(link))


def _object(name: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__}, not an object")
    except ValueError as error:
        raise SourceError(name, f"its {path.name} can't be read: {error}", AGAIN) from error
    return content
