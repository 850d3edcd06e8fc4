from pathlib import Path

import pytest

from glitbuild.errors import ConfigError, ExportError
from glitbuild.stages.export.command import appearing, check_target
from tests.run import tree


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with appearing(target) as folder:
        (folder / "config.json").write_text("new")
        assert not target.exists()
    assert tree(tmp_path) == {"deep/target/config.json": b"new"}
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    with appearing(tmp_path / "target") as folder:
        (tmp_path / "target").mkdir()
        (folder / "config.json").write_text("new")
    assert tree(tmp_path) == {"target/config.json": b"new"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), appearing(tmp_path / "deep" / "deeper" / "target") as folder:
        (folder / "config.json").write_text("new")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_is_replaced_at_the_end_and_kept_when_that_is_not_reached(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "vocab.json").write_text("old")
    with pytest.raises(ExportError, match="disk is full"), appearing(target) as folder:
        (folder / "config.json").write_text("new")
        raise OSError("disk is full")
    assert tree(tmp_path) == {"target/vocab.json": b"old"}
    (tmp_path / ".target.part").mkdir()  # as a killed process leaves it
    (tmp_path / ".target.part" / "half").touch()
    with appearing(target) as folder:
        (folder / "config.json").write_text("new")
    assert tree(tmp_path) == {"target/config.json": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_what_can_not_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be written to"), appearing(tmp_path / "file" / "target"):
        pass
    with pytest.raises(ConfigError, match="not a folder"):
        check_target(tmp_path / "file", None, True)


def test_only_what_an_export_wrote_is_replaced(tmp_path: Path) -> None:
    check_target(tmp_path / "new", None, False)
    check_target(tmp_path, None, False)
    (tmp_path / "config.json").touch()
    with pytest.raises(ConfigError, match="not empty"):
        check_target(tmp_path, None, False)
    check_target(tmp_path, None, True)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"it contains thesis\.tex"):
        check_target(tmp_path, None, True)


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "glit"
    for target in (run, tmp_path / "runs", tmp_path):
        with pytest.raises(ConfigError, match="contains the source"):
            check_target(target, run, True)
    check_target(run / "hf", run, False)
