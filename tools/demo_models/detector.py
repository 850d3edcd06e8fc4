"""Trains the embedded detector, a narrower version of YOLOv8, on scenes."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from glitbuild.demo_models import FOLDER, write_checksums
from glitbuild.demo_models.detector import CONFIG, WEIGHTS, build_network
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.options import HELD_OUT_KINDS
from glitbuild.stages.train.optim import parameter_groups, warm_cosine
from tools.demo_models.stream import scene_batches

if TYPE_CHECKING:
    from PIL.Image import Image

    from glitbuild.stages.scenes.scene import Scene

ARCHITECTURE: dict[str, Any] = {
    "base": "yolov8n.yaml",
    "depth": 0.33,
    "width": 0.1875,
    "max_channels": 1024,
    "image_size": 320,
}

NAMES = [kind for kind in KINDS if kind not in HELD_OUT_KINDS]

Example = tuple[NDArray[np.uint8], NDArray[np.float32]]


def example(scene: "Scene", image: "Image") -> Example:
    """Return a scene as a training example.

    Returns:
        The letterboxed image, S x S x 3, and K x 5: class, centre, width and height as shares of S.
    """
    from ultralytics.data.augment import LetterBox

    size: int = ARCHITECTURE["image_size"]
    picture: Any = LetterBox((size, size), auto=False)(image=np.asarray(image))
    scale = size / max(image.size)
    left, top = (size - image.width * scale) / 2, (size - image.height * scale) / 2
    rows = []
    for thing in scene.things:
        x1, y1, x2, y2 = (value * scale for value in thing.box)
        middle = ((x1 + x2) / 2 + left, (y1 + y2) / 2 + top)
        rows.append([NAMES.index(thing.look.kind), *(v / size for v in (*middle, x2 - x1, y2 - y1))])
    return picture, np.array(rows, dtype=np.float32)


def collate(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """Return a batch in the format of ultralytics' loss."""
    pixels = torch.from_numpy(np.stack([picture for picture, _ in examples])).permute(0, 3, 1, 2)
    rows = torch.from_numpy(np.concatenate([rows for _, rows in examples]))
    numbers = torch.cat([torch.full((len(rows),), float(i)) for i, (_, rows) in enumerate(examples)])
    images = (pixels.float() / 255).contiguous(memory_format=torch.channels_last)
    return {"img": images, "batch_idx": numbers, "cls": rows[:, :1], "bboxes": rows[:, 1:]}


def train(steps: int, batch_size: int, lr: float, seed: int) -> Any:
    """Train from scratch, and return the network with averaged weights."""
    from ultralytics.cfg import get_cfg
    from ultralytics.utils.torch_utils import ModelEMA

    torch.manual_seed(seed)
    network = build_network(ARCHITECTURE, NAMES).to(memory_format=torch.channels_last)
    network.args = get_cfg()  # contains the weights of the parts of its loss
    average = ModelEMA(network, decay=0.998, tau=200)
    optimizer = torch.optim.AdamW(parameter_groups(network, 0.02), lr=lr)
    schedule = warm_cosine(optimizer, steps)
    start = time.monotonic()
    for step, examples in enumerate(scene_batches(example, steps, batch_size, seed), start=1):
        network.train()
        loss, parts = network(collate(examples))
        loss.sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        average.update(network)
        if step % 50 == 0 or step == steps:
            losses = " ".join(f"{name} {float(value):.3f}" for name, value in parts.items())
            click.echo(f"step {step} of {steps}: {losses}, {time.monotonic() - start:.0f} s")
    return average.ema


@click.command()
@click.option("--steps", default=1800, show_default=True)
@click.option("--batch-size", default=16, show_default=True)
@click.option("--lr", default=2e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=0, help="Number of torch threads; 0 for torch's default.")
@click.option("--out", default=str(FOLDER), help="Folder of the embedded models.")
def main(steps: int, batch_size: int, lr: float, seed: int, threads: int, out: str) -> None:
    """Train the embedded detector and store it."""
    import json

    from safetensors.torch import save

    if threads:
        torch.set_num_threads(threads)
    start = time.monotonic()
    network = train(steps, batch_size, lr, seed)
    seconds = time.monotonic() - start
    state = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    training = {"steps": steps, "batch_size": batch_size, "lr": lr, "seed": seed, "seconds": round(seconds)}
    (folder / WEIGHTS).write_bytes(save(state, {name: str(value) for name, value in training.items()}))
    (folder / CONFIG).write_text(json.dumps({"architecture": ARCHITECTURE, "names": NAMES}, indent=1) + "\n")
    write_checksums([WEIGHTS, CONFIG], folder)
    click.echo(f"{folder / WEIGHTS}: {(folder / WEIGHTS).stat().st_size} bytes, {seconds:.0f} s")


if __name__ == "__main__":
    main()
