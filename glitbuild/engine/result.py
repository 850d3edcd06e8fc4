"""What a run came to, and the versions of what made it."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from glitbuild.shards.manifest import Manifest

PACKAGES = {
    "caption": ("glitbuild", "openai", "pillow"),
    "eval": ("glitbuild", "numpy", "open_clip_torch", "pillow", "spacy", "torch"),
    "ingest": ("glitbuild", "pillow"),
    "match": (
        "glitbuild",
        "numpy",
        "open_clip_torch",
        "pillow",
        "spacy",
        "torch",
        "transformers",
        "ultralytics-opencv-headless",
    ),
    "scenes": ("glitbuild", "numpy", "pillow"),
}


def versions_of(stage: str) -> dict[str, str]:
    """Return the installed versions of the packages that take part in a stage."""
    found: dict[str, str] = {}
    for package in PACKAGES[stage]:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to.

    Attributes:
        manifest: of the finished dataset.
        done_before: nothing was left to do.
        images_per_second: over the run, models' loading excluded.
    """

    manifest: Manifest
    done_before: bool
    images_per_second: float = 0.0
