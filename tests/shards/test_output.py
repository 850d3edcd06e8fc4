from pathlib import Path

import pytest

from glitbuild.errors import ConfigError
from glitbuild.shards.output import check_writable, write_file
from tests.run import tree


def test_files_appear_whole_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    check_writable(str(path))
    assert tree(tmp_path) == {}
    write_file(str(path), b"one")
    check_writable(str(path))
    write_file(str(path), b"two")
    assert tree(tmp_path) == {"new/figures.json": b"two"}


def test_what_cannot_be_written_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("/proc/figures.json", str(tmp_path)):
        with pytest.raises(ConfigError, match="can't be written to"):
            check_writable(path)
    monkeypatch.chdir(tmp_path)
    write_file("plain.json", b"1")
    assert tree(tmp_path) == {"plain.json": b"1"}
