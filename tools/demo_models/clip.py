"""Trains the embedded CLIP contrastively, like the original, on short texts of up to 77 tokens.

With ``--whole-scenes``, it trains a CLIP of the same architecture that has never seen a crop, to find out what
local pairs teach such a model.
"""

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from torch.nn.functional import cross_entropy, normalize

from glitbuild.clip.fit import quiet_open_clip
from glitbuild.clip.precision import BF16, FP32, computing
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.saved import save_model
from glitbuild.clip.text import TextEncoder, clip_tokenizer
from glitbuild.demo_models import FOLDER, write_checksums
from glitbuild.demo_models.clip import CONFIG, NAME, ROWS, WEIGHTS, compact, load_demo_clip
from glitbuild.stages.train.optim import parameter_groups, warm_cosine
from tools.demo_models.pairs import PairMaker, TextedImage
from tools.demo_models.stream import scene_batches

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 160, "patch_size": 20, "width": 192, "layers": 5, "head_width": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 160, "heads": 5, "layers": 3},
}

MOST_SCALE = 100.0
"""Upper limit of the logit scale, as in CLIP (arXiv 2103.00020)."""

TEXT_BATCH = 32


class Trainer:
    """Trains one CLIP.

    Args:
        model: open_clip model of the embedded CLIP's architecture.
        steps: number of steps of the whole training.
        lr: peak learning rate.
        hard: whether scenes also provide images without a text; see ``PairMaker``.
        crops: whether scenes provide crops; see ``PairMaker``.
        device: torch device.
        bf16: whether the towers compute in bfloat16, by autocast.

    Attributes:
        model: open_clip model being trained.
        seen: for each token, whether it occurred in a text.
    """

    def __init__(
        self,
        model: Any,
        steps: int,
        lr: float,
        hard: bool = False,
        crops: bool = True,
        device: str = "cpu",
        bf16: bool = False,
    ) -> None:
        self.model, self._device, self._bf16 = model.to(device), device, bf16
        self._text = TextEncoder(self.model, clip_tokenizer(NAME))
        self._preprocess = Preprocess.of(self.model)
        self.pairs = PairMaker(self._preprocess, hard, crops)
        self.seen = torch.zeros(self.model.vocab_size, dtype=torch.bool)
        self._optimizer = torch.optim.AdamW(parameter_groups(self.model, 0.1), lr=lr, betas=(0.9, 0.98))
        self._schedule = warm_cosine(self._optimizer, steps)

    def step(self, pairs: list[TextedImage]) -> tuple[float, float]:
        """Take a training step with the symmetric cross-entropy.

        Returns:
            The loss, and the share of texts whose best image is their own.
        """
        self.model.train()
        device = self._device
        texted = torch.tensor([place for place, (_, text) in enumerate(pairs) if text], device=device)
        tokens = self._text.tokenize([text for _, text in pairs if text])
        self.seen[torch.tensor([token for text in tokens for token in text.ids])] = True
        # Each part is padded to its own longest text.
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i].ids))
        parts = [order[i : i + TEXT_BATCH] for i in range(0, len(order), TEXT_BATCH)]
        with computing(device, BF16 if self._bf16 else FP32):
            images = self.model.encode_image(self._preprocess.batch([pixels for pixels, _ in pairs], device))
            sorted_texts = torch.cat([self._text.encode([tokens[i] for i in part], device) for part in parts])
        images, texts = images.float(), sorted_texts.float()[torch.tensor(order, device=device).argsort()]
        logits = self.model.logit_scale.exp() * normalize(texts, dim=-1) @ normalize(images, dim=-1).T
        own = torch.arange(len(texted), device=device)
        loss = cross_entropy(logits, texted) / 2 + cross_entropy(logits.T[texted], own) / 2
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._schedule.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=float(torch.tensor(MOST_SCALE).log()))
        return float(loss.detach()), float((logits.argmax(dim=1) == texted).float().mean())


def new_model(folder: Path) -> Any:
    """Return a model with random weights, and write its architecture's configuration to a folder."""
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(ARCHITECTURE, indent=1) + "\n")
    open_clip.add_model_config(folder / CONFIG)
    with quiet_open_clip():
        return open_clip.create_model(NAME)


@click.command()
@click.option("--steps", default=540, show_default=True)
@click.option(
    "--batch-size",
    default=48,
    show_default=True,
    help="Number of scenes per batch, each with four to five pairs; with one if whole.",
)
@click.option("--lr", default=1.2e-3, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=0, help="Number of torch threads; 0 for torch's default.")
@click.option("--device", default="cpu", show_default=True, help="torch device.")
@click.option("--bf16", is_flag=True, help="Compute in bfloat16, by autocast.")
@click.option("--processes", default=1, show_default=True, help="Number of processes that draw scenes.")
@click.option("--hard", is_flag=True, help="Continue from the stored model, with easily confused images.")
@click.option(
    "--whole-scenes",
    type=click.Path(path_type=Path),
    help="Train on whole scenes only; a new folder for the model.",
)
@click.option("--out", default=str(FOLDER), help="Folder of the embedded models.")
def main(
    steps: int,
    batch_size: int,
    lr: float,
    seed: int,
    threads: int,
    device: str,
    bf16: bool,
    processes: int,
    hard: bool,
    whole_scenes: Path | None,
    out: str,
) -> None:
    """Train the embedded CLIP and store it."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save

    if threads:
        torch.set_num_threads(threads)
    if hard and whole_scenes:
        raise click.UsageError("--hard adds crops, --whole-scenes has none; give one of them")
    start = time.monotonic()
    folder = whole_scenes or Path(out)
    torch.manual_seed(seed)
    model = load_demo_clip("cpu", folder) if hard else new_model(folder)
    trainer = Trainer(model, steps, lr, hard, not whole_scenes, device, bf16)
    phases: list[dict[str, float]] = []
    if hard:
        trainer.seen[load_file(folder / WEIGHTS)[ROWS].long()] = True
        with safe_open(folder / WEIGHTS, "pt") as stored:
            phases = json.loads(stored.metadata()["phases"])
    pairs = losses = right = 0.0
    batches = scene_batches(trainer.pairs, steps, batch_size, seed, processes=processes)
    for step, examples in enumerate(batches, start=1):
        batch = [pair for example in examples for pair in example]
        loss, share = trainer.step(batch)
        pairs, losses, right = pairs + len(batch), losses + loss / 20, right + share / 20
        if step % 20 == 0:
            click.echo(f"step {step}: loss {losses:.3f}, accuracy {right:.3f}, {time.monotonic() - start:.0f} s")
            losses = right = 0.0
    trainer.model.cpu()
    seconds = time.monotonic() - start
    phase = {
        "hard": hard,
        "steps": steps,
        "scenes": steps * batch_size,
        "pairs": int(pairs),
        "lr": lr,
        "seed": seed,
    }
    phases.append(phase | {"seconds": round(seconds)})
    if whole_scenes:
        with torch.no_grad():  # as in the embedded CLIP, a word that was never read adds nothing
            model.token_embedding.weight[~trainer.seen] = 0
        save_model(whole_scenes, model, ARCHITECTURE)
        (whole_scenes / "training.json").write_text(json.dumps(phases[-1], indent=1) + "\n")
        click.echo(f"{whole_scenes}: {phases[-1]}")
        return
    state = compact(trainer.model.state_dict(), trainer.seen.nonzero().flatten())
    (folder / WEIGHTS).write_bytes(save(state, {"phases": json.dumps(phases)}))
    write_checksums([WEIGHTS, CONFIG], folder)
    size, tokens = (folder / WEIGHTS).stat().st_size, int(trainer.seen.sum())
    click.echo(f"{folder / WEIGHTS}: {size} bytes, {tokens} tokens, {phases[-1]}")


if __name__ == "__main__":
    main()
