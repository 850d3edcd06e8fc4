"""Exit status 2 says that nothing has been written: no file, and no folder either."""

from pathlib import Path

import pytest

from tests.factories import jpeg
from tests.run import here
from tests.stages.publish.page.datasets import scene, write

CAPTION = ["caption", "images", "--out", "out", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m"]
SCENES = ["scenes", "--count", "2", "--out", "out"]


def changed(words: list[str], option: str, value: str) -> list[str]:
    at = words.index(option) if option in words else len(words)
    return [*words[:at], option, value, *words[at + 2 :]]


WRONG = [
    *(changed(CAPTION, "--endpoint", url) for url in ("localhost", "ftp://a/v1", "http://", "http://u:p@a/v1", "")),
    *(changed(CAPTION, "--max-side", side) for side in ("8", "many")),
    changed(CAPTION, "--max-tokens", "0"),
    changed(CAPTION, "--temperature", "nan"),
    changed(CAPTION, "--concurrency", "0"),
    changed(CAPTION, "--retries", "-1"),
    changed(CAPTION, "--timeout", "inf"),
    changed(CAPTION, "--seed", "x"),
    changed(CAPTION, "--prompt", "nowhere.txt"),
    changed(CAPTION, "--prompt", "photos"),
    changed(CAPTION, "--model", ""),
    changed(CAPTION, "--out", "images"),
    changed(CAPTION, "--out", "photos/1.jpg"),
    changed(CAPTION, "--out", "/proc/out"),
    [*CAPTION, "--colour", "red"],
    ["caption", "nowhere", *CAPTION[2:]],
    ["caption", "photos", *CAPTION[2:]],
    ["caption", "pairs", *CAPTION[2:]],
    ["caption", "images", "--out", "out"],
    ["stats", "nowhere", "--html", "new/stats.html"],
    ["stats", "photos", "--html", "new/stats.html"],
    ["stats", "pairs", "--html", "/proc/stats.html"],
    ["stats", "pairs", "--html", "photos"],
    ["stats", "pairs", "--html", "photos/1.jpg/stats.html"],
    ["stats", "pairs", "--csv", "stats.csv"],
    ["preview", "nowhere", "--out", "new/page.html"],
    ["preview", "pairs", "--out", "new/page.html", "--samples", "0"],
    ["preview", "pairs", "--out", "new/page.html", "--max-side", "1"],
    ["preview", "pairs", "--out", "new/page.html", "--seed", "-1"],
    ["preview", "pairs", "--out", "photos"],
    ["preview", "pairs", "--out", "/proc/page.html"],
    ["preview", "pairs"],
    ["push", "nowhere", "a/b", "--dry-run"],
    ["push", "photos", "a/b", "--dry-run"],
    ["push", "pairs", "a b", "--dry-run"],
    ["push", "pairs", "b", "--dry-run"],
    ["push", "pairs", "a/b", "--dry-run", "--message", "x"],
    ["push", "pairs", "a/b", "--dry-run", "--eval", "nowhere.json"],
    changed(SCENES, "--count", "0"),
    changed(SCENES, "--size", "7"),
    changed(SCENES, "--split", "all"),
    changed(SCENES, "--kinds", "dragon"),
    changed(SCENES, "--noise", "2"),
    changed(SCENES, "--late", "nan"),
    changed(SCENES, "--shard-size", "0"),
    changed(SCENES, "--min-objects", "20"),
    changed(SCENES, "--out", "photos/1.jpg"),
    changed(SCENES, "--out", "/proc/out"),
    ["scenes", "--out", "out"],
    ["run", "nowhere.yaml"],
    ["run", "photos"],
    ["run", "photos/1.jpg"],
    ["paint"],
]

RECIPES = {
    "twice": "stages:\n- scenes: {count: 2, out: out}\n- scenes: {count: 2, out: two, out: three}\n",
    "unset": "stages:\n- scenes: {count: 2, out: out}\n- match: {dir: out, out: '${NOSUCH_VARIABLE}/x'}\n",
    "unknown stage": "stages:\n- scenes: {count: 2, out: out}\n- paint: {dir: out}\n",
    "unknown option": "stages:\n- scenes: {count: 2, out: out}\n- match: {dir: out, out: x, colour: red}\n",
    "wrong value": "stages:\n- scenes: {count: 2, out: out}\n- match: {dir: out, out: x, score: 7}\n",
    "missing option": "stages:\n- scenes: {count: 2, out: out}\n- match: {dir: out}\n",
    "no prompt": "stages:\n- scenes: {count: 2, out: out}\n"
    "- caption: {dir: images, out: x, endpoint: 'http://a/v1', model: m, prompt: nowhere.txt}\n",
    "first stage": "stages:\n- caption: {dir: nowhere, out: out, endpoint: 'http://a/v1', model: m}\n",
    "not yaml": "stages: [",
    "nothing": "",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "photos").mkdir()
    for number in range(2):
        (folder / "photos" / f"{number}.jpg").write_bytes(jpeg(seed=number))
    write(folder / "pairs", [scene(number, [("A dog.", 5, 0.5)]) for number in range(2)])
    made = here("ingest", "photos", "--no-captions", "--out", "images", cwd=folder)
    assert made.returncode == 0, made.stderr
    return folder


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return all files below a folder with what they hold, and the folders."""
    return {str(path): None if path.is_dir() else path.read_bytes() for path in sorted(folder.rglob("*"))}


def refused(place: Path, *args: str) -> str:
    before = everything(place)
    result = here(*args, cwd=place)
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stderr.splitlines()[-1].startswith("glitbuild: error: ")
    assert everything(place) == before
    return result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("args", WRONG, ids=" ".join)
def test_a_wrong_command_line_writes_nothing(args: list[str], place: Path) -> None:
    refused(place, *args)


@pytest.mark.slow
@pytest.mark.parametrize("text", RECIPES.values(), ids=RECIPES)
def test_a_wrong_recipe_runs_no_stage(text: str, place: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert str(path) in refused(place, "run", str(path)) or "out: " in text


def test_a_stage_that_cannot_begin_after_others_have_written_is_no_wrong_command_line(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "stages:\n- scenes: {count: 1, out: one}\n"
        "- caption: {dir: one, out: two, endpoint: 'http://127.0.0.1:9/v1', model: m}\n"
    )
    first = here("run", "recipe.yaml", cwd=tmp_path)
    assert first.returncode == 1 and "1 samples" in first.stdout
    assert "stage 2 (caption): one: its images already have captions" in first.stderr
    assert "the stages before this one are finished" in first.stderr
    again = here("run", "recipe.yaml", cwd=tmp_path)  # writes nothing now
    assert again.returncode == 2 and "nothing to do" in again.stdout
    assert not (tmp_path / "two").exists()


def test_the_home_is_found_where_a_shell_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = here("scenes", "--count", "1", "--out=~/data", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    (tmp_path / "prompt.txt").write_text("")
    words = ["caption", "~/data", *CAPTION[2:], "--prompt=~/prompt.txt"]
    assert "its images already have captions" in here(*words, cwd=tmp_path).stderr
