import pytest

from glitbuild.ingest.seen import SeenKeys


def test_a_name_comes_once_an_input():
    with SeenKeys() as seen:
        assert seen.add(0, "a")
        assert seen.add(0, "b")
        assert seen.add(1, "a")
        assert not seen.add(0, "a")
        assert not seen.add(1, "a")
        assert seen.add(11, "1:a")
        assert seen.add(1, "11:a")


@pytest.mark.parametrize("name", ["", "a.b/c.d", "\0", "\udcff", "é", "e\u0301", "x" * 100_000])
def test_any_name(name):
    with SeenKeys() as seen:
        assert seen.add(0, name)
        assert not seen.add(0, name)


def test_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    monkeypatch.setattr("glitbuild.ingest.seen.CACHE_KIB", 64)
    with SeenKeys() as seen:
        assert all(seen.add(0, str(number)) for number in range(20_000))
        assert not any(seen.add(0, str(number)) for number in range(20_000))
    assert list(tmp_path.iterdir()) == []
    with SeenKeys() as seen:
        assert seen.add(0, "1")
