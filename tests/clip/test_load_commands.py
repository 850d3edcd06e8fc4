"""The commands that read a CLIP: what they say of one that can't be used, and what they keep of one that can."""

import json
from pathlib import Path

import pytest

from tests.clip.checkpoints import saved, small_architectures, trained
from tests.clip.transformers_models import save_clip_model, save_siglip
from tests.run import here, tree
from tests.test_files_weights import POINTER

pytestmark = pytest.mark.slow

SQUASH = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "interpolation": "bilinear", "resize_mode": "squash"}
SAY_SO = ("--force-quick-gelu", "--image-mean", 0.5, 0.5, 0.5, "--image-std", 0.25, 0.25, 0.25)
AND_SO = ("--image-interpolation", "bilinear", "--image-resize-mode", "squash")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with drawn scenes, the same matched, and things that look like models."""
    folder = tmp_path_factory.mktemp("world")
    demo = ("--workers", 0, "--detector", "none", "--clip-model", "demo")
    for args in (("scenes", "--count", 2, "--out", "raw"), ("match", "raw", "--out", "pairs", *demo)):
        result = here(*args, cwd=folder)
        assert result.returncode == 0, result.stderr
    saved(folder / "weights.pt", trained(quick_gelu=True, preprocess=SQUASH))
    (folder / "pointer.safetensors").write_bytes(POINTER)
    (folder / "page.pt").write_text("<!doctype html><title>Sign in</title>")
    (folder / "empty.pt").touch()
    for name in ("hf", "blip", "unfinished", "clone", "nothing"):
        (folder / name).mkdir()
    (folder / "hf" / "config.json").write_text(json.dumps({"model_type": "clip", "architectures": ["CLIPModel"]}))
    (folder / "hf" / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}              ")
    blip = {"model_type": "blip", "architectures": ["BlipModel"]}
    (folder / "blip" / "config.json").write_text(json.dumps(blip))
    (folder / "blip" / "pytorch_model.bin").touch()
    (folder / "unfinished" / "run.json").write_text("{}")
    (folder / "clone" / "open_clip_config.json").write_text("{}")
    (folder / "clone" / "open_clip_pytorch_model.bin").touch()
    (folder / "pointed").mkdir()
    config = {"embed_dim": 32, "vision_cfg": {}, "text_cfg": {}}
    (folder / "pointed" / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    (folder / "pointed" / "open_clip_model.safetensors").write_bytes(POINTER)
    return folder


@pytest.fixture(autouse=True)
def architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    small_architectures(monkeypatch)


def command(name: str, model: str, pretrained: str = "") -> list[str]:
    if name == "match":
        words = ["match", "raw", "--out", "out", "--workers", "0", "--detector", "none", "--clip-model", model]
        return words + (["--clip-pretrained", pretrained] if pretrained else [])
    start = ["train", "pairs", "--out", "out", "--model"] if name == "train" else ["eval"]
    end = ["--batch-size", "2", "--epochs", "1", "--loader-workers", "0"] if name == "train" else ["raw"]
    return [*start, model, *end, *(["--pretrained", pretrained] if pretrained else [])]


MODEL = {"match": "--clip-model", "train": "--model", "eval": "MODEL"}
WEIGHTS = {"match": "--clip-pretrained", "train": "--pretrained", "eval": "--pretrained"}


@pytest.mark.parametrize("name", ["match", "train", "eval"])
def test_a_model_that_can_not_be_used_is_one_line_that_names_the_commands_own_option(
    name: str, world: Path
) -> None:
    before = tree(world)
    for pretrained, says in (
        ("weights.pt", "--force-quick-gelu"),
        ("pointer.safetensors", "a Git LFS pointer, not weights; run `git lfs pull`"),
        ("page.pt", "a web page, not weights"),
        ("empty.pt", "the file is empty"),
        ("no/such.pt", "no such file"),
        ("./hf", "a folder, not a checkpoint"),
    ):
        result = here(*command(name, "ViT-B-32", pretrained), cwd=world)
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        line = result.stderr.splitlines()[-1]
        assert line.startswith(f"glitbuild: error: {WEIGHTS[name]} {pretrained}: "), line
        assert says in line
        assert {"match": " --pretrained", "train": "--clip-", "eval": "--clip-"}[name] not in line
    for model, says in (
        ("hf", "its image processor is missing"),
        ("blip", "a transformers folder (BlipModel), which is not supported; give one of CLIPModel, Sig"),
        ("unfinished", "its training isn't finished"),
        (
            "clone",
            "its weights are not called open_clip_model.safetensors; give the architecture, and clone/open",
        ),
        ("nothing", "it contains no model"),
        ("weights.pt", "a file, which doesn't determine its architecture"),
        ("no/such", "neither a folder nor an architecture"),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "not loaded from the Hub by name"),
    ):
        result = here(*command(name, model), cwd=world)
        assert (result.returncode, result.stdout) == (2, ""), result.stderr
        line = result.stderr.splitlines()[-1]
        assert line.startswith(f"glitbuild: error: {MODEL[name]} {model}: "), line
        assert says in line
    assert tree(world) == before


def test_a_pointer_in_a_models_folder_is_named(world: Path) -> None:
    result = here("eval", "pointed", "raw", cwd=world)
    assert result.returncode == 2
    assert "pointed/open_clip_model.safetensors: a Git LFS pointer" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("option", [("--image-std", 0, 1, 1), ("--image-resize-mode", "longest")])
def test_an_option_that_no_model_is_read_with_is_refused(option: tuple[object, ...], world: Path) -> None:
    before = tree(world)
    for name in ("match", "train", "eval"):
        result = here(*command(name, "ViT-B-32", "weights.pt"), *option, cwd=world)
        assert result.returncode == 2
        assert f"error: {option[0]} " in result.stderr
    assert tree(world) == before


def test_what_was_decided_is_kept_from_match_to_export(world: Path, tmp_path: Path) -> None:
    match = ["match", world / "raw", "--out", "pairs", "--workers", 0, "--detector", "none"]
    match += ["--clip-model", "ViT-B-32", "--clip-pretrained", world / "weights.pt"]
    result = here(*match, *SAY_SO, *AND_SO, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    config = json.loads((tmp_path / "pairs" / "manifest.json").read_text())["config"]
    wanted = {
        "force_quick_gelu": True,
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
        "image_interpolation": "bilinear",
        "image_resize_mode": "squash",
    }
    assert config.items() >= wanted.items()
    before = tree(tmp_path)
    again = here(*match, *SAY_SO, cwd=tmp_path)
    assert again.returncode == 2
    assert "image_interpolation was 'bilinear' and is now None" in again.stderr
    assert tree(tmp_path) == before
    assert here(*match, *SAY_SO, *AND_SO, cwd=tmp_path).returncode == 0

    small = ["--batch-size", 2, "--epochs", 1, "--loader-workers", 0]
    train = ["train", "pairs", "--out", "run", "--model", "ViT-B-32", "--pretrained", world / "weights.pt", *small]
    result = here(*train, *SAY_SO, *AND_SO, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"].items() >= wanted.items()
    again = here(*train, "--no-force-quick-gelu", *SAY_SO[1:], *AND_SO, cwd=tmp_path)
    assert again.returncode == 2
    assert "force_quick_gelu was True and is now None" in again.stderr
    assert here("export", "run", "--to", "exported", "--format", "open_clip", cwd=tmp_path).returncode == 0
    assert here("export", "run", "--to", "hf", "--format", "hf", cwd=tmp_path).returncode == 0
    for folder in ("run", "exported"):
        saved_config = json.loads((tmp_path / folder / "open_clip_config.json").read_text())
        assert saved_config["model_cfg"]["quick_gelu"] is True
        assert saved_config["preprocess_cfg"].items() >= json.loads(json.dumps(SQUASH)).items()
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["text_config"]["hidden_act"] == "quick_gelu"
    processor = json.loads((tmp_path / "hf" / "preprocessor_config.json").read_text())
    assert (processor["image_mean"], processor["resample"]) == ([0.5] * 3, 2)

    words = [world / "raw", "--out", "figures.json", "--device", "cpu", "--suite", "retrieval"]
    scores = []
    for model in ("run", "exported", "hf"):
        result = here("eval", model, *words, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        report = json.loads((tmp_path / "figures.json").read_text())
        assert report["model"].items() >= wanted.items()
        assert report["model"]["context_length"] == 248
        scores.append(report["suites"])
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.parametrize(
    ("tokens", "more", "reads", "says"),
    [
        (300, (), 300, "it reads 300 tokens already"),
        (300, ("--context-length", 100), 100, "it reads 300 tokens already"),
        (20, (), 20, "it reads 20 tokens; only those after the first 20 can be stretched"),
        (40, (), 40, ""),
        (40, ("--context-length", 500), 500, ""),
    ],
)
def test_a_model_is_stretched_where_it_can_be(
    tokens: int, more: tuple[object, ...], reads: int, says: str, world: Path, tmp_path: Path
) -> None:
    path = saved(tmp_path / "weights.pt", trained(tokens=tokens))
    given = ("--no-force-quick-gelu", "--device", "cpu", "--out", tmp_path / "report.json")
    result = here(*command("eval", "ViT-B-32", str(path)), *given, *more, cwd=world)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "report.json").read_text())["model"]["context_length"] == reads
    result = here(*command("train", "ViT-B-32", str(path)), "--out", tmp_path / "run", given[0], cwd=world)
    assert result.returncode == (2 if says else 0), result.stderr
    assert says in result.stderr.splitlines()[-1]


def test_siglip_can_be_matched_and_evaluated_but_not_trained_or_exported(world: Path, tmp_path: Path) -> None:
    save_siglip(tmp_path / "siglip")
    match = ["match", world / "raw", "--out", "pairs", "--workers", 0, "--detector", "none"]
    result = here(*match, "--clip-model", "siglip", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "pairs" / "manifest.json").read_text())["config"]["clip_model"] == "siglip"
    before = tree(tmp_path)
    small = ["--batch-size", 2, "--epochs", 1, "--loader-workers", 0]
    for words, says in (
        (["train", "pairs", "--out", "run", "--model", "siglip", *small], "its text tower (Siglip) is not causal"),
        (["export", "siglip", "--to", "out", "--format", "hf"], "a SiglipModel, which has no open_clip config"),
        (["eval", "siglip", "pairs", "--context-length", 248], "it reads 12 tokens"),
    ):
        result = here(*words, cwd=tmp_path)
        assert result.returncode == 2, result.stderr
        line = result.stderr.splitlines()[-1]
        assert says.replace("not causal", "not a causal") in line, line
        assert "siglip" in line
    assert tree(tmp_path) == before


def test_a_model_of_transformers_is_trained_and_comes_back(world: Path, tmp_path: Path) -> None:
    save_clip_model(tmp_path / "clip")
    words = ["train", world / "pairs", "--out", "run", "--model", "clip", "--batch-size", 2, "--epochs", 1]
    result = here(*words, "--loader-workers", 0, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    result = here("export", "run", "--to", "back", "--format", "hf", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    reports = []
    for model in ("run", "back"):
        result = here("eval", model, world / "pairs", "--out", "report.json", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        reports.append(json.loads((tmp_path / "report.json").read_text())["suites"])
    assert reports[0]["retrieval"] == reports[1]["retrieval"]
    assert list(reports[0]) == list(reports[1])
