"""Pictures and captions for models to encode."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    """Return pictures of these sizes with both smooth parts and fine noise."""
    random = np.random.default_rng(1)
    found = []
    for width, height in sizes:
        smooth = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height))
        noise = random.integers(-20, 20, (height, width, 3))
        found.append(Image.fromarray((np.asarray(smooth) + noise).clip(0, 255).astype(np.uint8)))
    return found


def captions(assets: Path) -> list[str]:
    """Return real long captions."""
    lines = [line for path in sorted((assets / "captions").glob("*.jsonl")) for line in path.open()]
    return [json.loads(line)["caption"] for line in lines]
