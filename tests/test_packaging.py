"""What is installed: the lock, the wheel, and what a slim machine lacks."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from glitbuild.errors import ModelError
from glitbuild.flism.detectors.registry import DetectorSpec

ROOT = Path(__file__).parents[1]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return {normalised(found[1]): found[2] for line in lines if (found := re.match(r"([\w.-]+)==(\S+)", line))}


def declared() -> set[str]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return {normalised(re.split(r"[ \[<>=]", line)[0]) for line in lines if line and not line.startswith("#")}


def test_the_lock_pins_what_is_declared_with_hashes_and_without_an_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert declared() <= set(locked())
    entries = re.split(r"\n(?=[\w.-]+==)", text)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


def test_torch_is_one_that_torchvision_of_the_same_index_imports_with() -> None:
    major, minor = (int(part) for part in locked()["torch"].split(".")[:2])
    assert (major, minor) >= (2, 14)


def test_ultralytics_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert "ultralytics" not in config["options"]["install_requires"]
    assert "ultralytics" in config["options.extras_require"]["yolo"]
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    for spec in ("demo", "yolov8n.pt"):
        with pytest.raises(ModelError, match=rf"--detector {spec}.*AGPL-3.0.*glitbuild\[yolo\].*hf:.*none"):
            DetectorSpec.parse(spec, None)
    assert DetectorSpec.parse("none", None).load("cpu").detect([]) == []


@pytest.mark.slow
def test_opencv_and_the_detector_need_no_libgl() -> None:
    code = "import cv2, ultralytics.models; print(open('/proc/self/maps').read())"
    maps = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "cv2" in maps
    assert "libGL" not in maps
    assert "opencv-python" not in locked()


@pytest.mark.slow
def test_the_wheel_holds_the_package_its_schemas_and_its_marker_of_types(tmp_path: Path) -> None:
    source = tmp_path / "source"  # setuptools builds in the tree it is given
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "build"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(command, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "glitbuild").rglob("*.py")}
    schemas = {f"glitbuild/schemas/{path.name}" for path in (ROOT / "schemas").glob("*.json")}
    assert package | schemas | {"glitbuild/py.typed", "glitbuild/stages/caption/prompt.txt"} <= names
    assert not any(name.startswith(("tests/", "benchmarks/", "tools/")) for name in names)
