from pathlib import Path

import pytest

from glitbuild.errors import DatasetError
from glitbuild.shards.manifest import open_dataset
from glitbuild.stages.publish.hub import survey as module
from glitbuild.stages.publish.hub.survey import survey
from tests.stages.publish.hub.folders import make_dataset


def test_all_records_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECORDS", 1)
    make_dataset(tmp_path, 4, matched=False)
    progress: list[int] = []
    found = survey(*open_dataset(str(tmp_path)), True, progress.append)
    assert found.sources == {("birds of prey", "CC BY 4.0"): 4}
    assert progress == [1, 1, 1, 1]
    assert [record["key"] for record in found.records] == ["000000000"]


def test_for_the_types_alone_one_shard_is_read(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    (tmp_path / "shards" / "00001.tar").unlink()
    found = survey(*open_dataset(str(tmp_path)), False)
    assert not found.sources
    assert len(found.records) == 1


@pytest.mark.parametrize("content", [b"", b"no tar" * 200, None])
def test_a_damaged_shard_is_named(content: bytes | None, tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    tar = tmp_path / "shards" / "00000.tar"
    tar.write_bytes(tar.read_bytes().replace(b'"source":', b'"sauces":') if content is None else content)
    with pytest.raises(DatasetError, match=r"00000\.tar: its records can't be read"):
        survey(*open_dataset(str(tmp_path)), True)
