"""The versions that decide a dataset's content, for its manifest, or a model's figures."""

from importlib.metadata import PackageNotFoundError, version

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
