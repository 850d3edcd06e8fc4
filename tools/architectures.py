"""Write the table of open_clip's architectures into docs/models.md: what each can be used for, or why not.

    python -m tools.architectures

The networks are built without weights and without memory (torch's meta device).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- architectures -->", "<!-- end -->"


@dataclass(frozen=True, slots=True)
class Row:
    """What an architecture can be used for; each is "yes" with details, or the reason why not."""

    name: str
    embeddings: str
    patches: str
    stretch: str
    train: str


def build(name: str) -> Any:
    """Return an architecture's network on the meta device."""
    import open_clip
    import torch

    from glitbuild.clip.fit import quiet_open_clip

    with quiet_open_clip(), torch.device("meta"):
        return open_clip.create_model(name, load_weights=False, pretrained_text=False, device="meta").eval()


def examine(name: str) -> Row:
    """Return the row of an architecture."""
    import open_clip

    from glitbuild.clip.patches import patch_tower
    from glitbuild.clip.preprocess import Preprocess
    from glitbuild.clip.text import TextEncoder
    from glitbuild.clip.towers import Towers

    text = open_clip.get_model_config(name)["text_cfg"]
    if text.get("hf_model_name"):
        # Building the network would ask the Hub for its text tower's configuration.
        why = "its text tower is a model of transformers"
        return Row(name, "yes, with the Hub", "yes, with the Hub", why, why)
    try:
        model = build(name)
    except Exception as error:  # networks that this version of timm or open_clip doesn't build
        why = str(error).partition("\n")[0]
        return Row(name, *4 * (f"not built: {why}",))
    embeddings = outcome(lambda: str(Preprocess.of(model).size) + " px")
    if text.get("hf_tokenizer_name"):
        embeddings, stretch = embeddings + " (with the Hub)", "its tokenizer is not CLIP's own"
        train = stretch
    else:
        encoder = TextEncoder(model, open_clip.get_tokenizer(name))
        stretch = "yes" if encoder.trims else "its text tower is not causal"
        train = outcome(lambda: Towers(model) and "yes") if encoder.trims else stretch
    return Row(name, embeddings, outcome(lambda: grid(patch_tower(model))), stretch, train)


def grid(tower: Any) -> str:
    """Return the number of patches as text."""
    return f"{tower.grid.side} x {tower.grid.side}"


def outcome(attempt: Callable[[], Any]) -> str:
    """Return what a function returns, or the reason of its error."""
    from glitbuild.errors import ModelError

    try:
        return str(attempt())
    except ModelError as error:
        return error.why


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table; equal reasons are numbered and listed below it."""
    reasons: dict[str, int] = {}

    def cell(value: str) -> str:
        if re.fullmatch(r"yes.*|\d+ (px.*|x \d+)", value):
            return value
        return f"no [{reasons.setdefault(value, len(reasons) + 1)}]"

    lines = [
        "| architecture | embeddings | patches | other context lengths | `train` |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = (row.embeddings, row.patches, row.stretch, row.train)
        lines.append(f"| {row.name} | " + " | ".join(map(cell, cells)) + " |")
    notes = [f"[{number}] {why}" for why, number in reasons.items()]
    return "\n".join(lines) + "\n\n" + "\\\n".join(notes)


def main() -> None:
    """Examine all architectures and write the table."""
    import open_clip

    rows = [examine(name) for name in open_clip.list_models()]
    usable = sum(" px" in row.embeddings or row.embeddings.startswith("yes") for row in rows)
    localize = sum(" x " in row.patches or row.patches.startswith("yes") for row in rows)
    counts = f"{usable} of {len(rows)} give embeddings, {localize} patches."
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{counts}\n\n{table(rows)}\n{END}{after}")
    print(counts)


if __name__ == "__main__":
    main()
