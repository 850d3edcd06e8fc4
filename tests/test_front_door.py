"""What a program imports from ``glitbuild``: it is light, documented, and its examples are true."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch

import glitbuild
from glitbuild.cli import make_command
from glitbuild.clip.towers import stretch_positions
from glitbuild.errors import ConfigError, ModelError
from glitbuild.stages.ingest.options import IngestOptions
from tests.factories import jpeg
from tests.stages.train.worlds import matched_scenes

EVERY_COMMAND = {"plain", "verbose", "log_json", "help"}
PUBLIC = [name for name in glitbuild.__all__ if not name.startswith("_")]


def test_importing_it_imports_nothing_heavy_and_it_lists_its_names() -> None:
    code = "import sys, glitbuild as g; print(set(g.__all__) <= set(dir(g)), 'torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "True False\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'load_clap'"):
        glitbuild.load_clap  # noqa: B018


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name: a matched dataset at ``data/pairs``, and photos of which one is damaged."""
    folder = tmp_path_factory.mktemp("front-door")
    matched_scenes(folder / "data" / "pairs", (3, 1))
    (folder / "photos").mkdir()
    for name in ("a", "b", "c"):
        (folder / "photos" / f"{name}.jpg").write_bytes(jpeg(64, 48, seed=ord(name)) if name != "c" else b"no JPEG")
        (folder / "photos" / f"{name}.txt").write_text("Noise of many colors.")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example_that_is_true(
    name: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world)
    value = getattr(glitbuild, name)
    found = [test for test in doctest.DocTestFinder(recurse=False).find(value, name) if test.examples]
    assert found, "it has no example"
    runner = doctest.DocTestRunner()
    for test in found:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_types_and_documents_its_arguments(name: str) -> None:
    value = getattr(glitbuild, name)
    called = value.forward if inspect.isclass(value) and issubclass(value, torch.nn.Module) else value
    text = (value.__doc__ or "") + (called.__doc__ or "")
    signature = inspect.signature(called)
    assert signature.return_annotation is not inspect.Signature.empty
    for argument in signature.parameters.values():
        if argument.name != "self":
            assert argument.annotation is not inspect.Parameter.empty
            assert f"{argument.name}:" in text


@pytest.mark.slow
def test_a_stretched_model_is_the_model_with_stretched_positions() -> None:
    own, long = glitbuild.load_clip("demo"), glitbuild.load_clip("demo", context_length=248)
    assert torch.equal(long.positional_embedding, stretch_positions(own.positional_embedding))
    assert long.context_length == 248
    tokens = open_clip.tokenize(["A dog runs. " * 100], context_length=248)
    assert long.encode_text(tokens).shape == (1, long.text_projection.shape[1])
    same = glitbuild.load_clip("demo", context_length=77).state_dict()
    assert all(torch.equal(value, same[name]) for name, value in own.state_dict().items())


def test_a_context_length_that_the_model_cannot_have_is_refused() -> None:
    with pytest.raises(ModelError, match=r"demo: it reads 77 tokens already, which is more than 50"):
        glitbuild.load_clip("demo", context_length=50)


@pytest.mark.slow
def test_a_way_of_reading_that_no_model_has_is_refused(clip_checkpoint: Path) -> None:
    for given in ({"image_std": (0.2, 0.0, 0.2)}, {"image_mean": (0.5, 0.5)}, {"image_resize_mode": "longest"}):
        with pytest.raises(ConfigError):
            glitbuild.load_clip("ViT-S-32-alt", str(clip_checkpoint), force_quick_gelu=True, **given)


@pytest.mark.slow
def test_errors_name_arguments_and_no_flags(tmp_path: Path) -> None:
    model = open_clip.create_model("ViT-B-32")  # of which weights with either activation exist
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(ModelError) as ambiguous:
        glitbuild.load_clip("ViT-B-32", str(tmp_path / "weights.pt"))
    assert "force_quick_gelu=True (OpenAI, DFN, MetaCLIP) or force_quick_gelu=False" in str(ambiguous.value)
    with pytest.raises(ConfigError, match=r"^image_std=\(0\.2, 0\.0, 0\.2\): "):
        glitbuild.load_clip("ViT-B-32", "weights.pt", image_std=(0.2, 0.0, 0.2))
    with pytest.raises(ConfigError, match=r"^force_quick_gelu=False: the embedded model"):
        glitbuild.load_clip("demo", force_quick_gelu=False)
    assert "--" not in str(ambiguous.value)


def test_weights_for_a_model_that_has_its_own_are_refused() -> None:
    with pytest.raises(ConfigError, match="openai"):
        glitbuild.load_clip("demo", "openai")


@pytest.mark.slow
def test_a_checkpoint_is_read_as_it_is_said_to_be(clip_checkpoint: Path) -> None:
    given = {"force_quick_gelu": True, "image_mean": (0.4, 0.5, 0.6), "image_std": (0.2, 0.3, 0.4)}
    model = glitbuild.load_clip("ViT-S-32-alt", str(clip_checkpoint), **given)
    assert model.visual.image_mean == given["image_mean"]
    assert model.visual.image_std == given["image_std"]
    activations = [type(each).__name__ for each in model.modules()]
    assert "QuickGELU" in activations
    assert "GELU" not in activations


def test_a_function_has_the_options_of_its_command() -> None:
    for name in ("scenes", "ingest", "caption", "match", "train", "evaluate", "export", "preview", "push"):
        options = {option.name for option in make_command("eval" if name == "evaluate" else name).params}
        assert set(inspect.signature(getattr(glitbuild, name)).parameters) == options - EVERY_COMMAND, name


def test_one_input_is_as_good_as_a_list_of_one() -> None:
    one, listed = IngestOptions("photos", "out", exclude="old"), IngestOptions(["photos"], "out", exclude=["old"])  # type: ignore[arg-type]
    assert one == listed == IngestOptions(("photos",), "out", exclude=("old",))
    assert one.sources == ("photos",)


def test_the_errors_are_those_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such dataset"):
        glitbuild.match(str(tmp_path / "none"), out=str(tmp_path / "out"))
    with pytest.raises(TypeError, match="colour"):
        glitbuild.match("data/raw", out="data/pairs", colour="red")  # type: ignore[call-arg]
    assert list(tmp_path.iterdir()) == []
