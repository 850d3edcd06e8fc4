"""The tokenizer and the image processor beside a ``CLIPModel``, of transformers' own classes."""

import json
from pathlib import Path
from typing import Any

SPECIAL = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
"""What open_clip calls the last two tokens of the vocabulary, and what transformers does."""


def save_tokenizer(folder: Path, context_length: int) -> None:
    """Write a CLIP tokenizer, made from the vocabulary that open_clip ships.

    Args:
        folder: where to.
        context_length: texts are cut off there when it is asked to truncate.
    """
    import transformers
    from open_clip.tokenizer import SimpleTokenizer

    known = SimpleTokenizer()
    vocabulary = {SPECIAL.get(token, token): number for token, number in known.encoder.items()}
    merges = sorted(known.bpe_ranks, key=known.bpe_ranks.__getitem__)
    # From these three files every version of transformers makes this tokenizer; the fourth is for fast loading.
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
    start, end = SPECIAL.values()
    names = {"bos_token": start, "eos_token": end, "pad_token": end, "unk_token": end}
    config = names | {"tokenizer_class": "CLIPTokenizer", "model_max_length": context_length}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    library: Any = transformers
    tokenizer = library.CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def save_image_processor(folder: Path, preprocess_cfg: dict[str, Any]) -> None:
    """Write an image processor that does what open_clip's evaluation transform does.

    Args:
        folder: where to.
        preprocess_cfg: of open_clip's image tower, with resize mode ``shortest`` or ``squash``.
    """
    from PIL.Image import Resampling
    from transformers import CLIPImageProcessor

    size = preprocess_cfg["size"]
    edge = int(size if isinstance(size, int) else size[0])
    square = {"height": edge, "width": edge}
    squash = preprocess_cfg["resize_mode"] == "squash"
    bilinear = preprocess_cfg["interpolation"] == "bilinear"  # with any other word open_clip takes bicubic
    CLIPImageProcessor(
        size=square if squash else {"shortest_edge": edge},
        do_center_crop=not squash,
        crop_size=square,
        resample=Resampling.BILINEAR if bilinear else Resampling.BICUBIC,
        image_mean=list(preprocess_cfg["mean"]),
        image_std=list(preprocess_cfg["std"]),
    ).save_pretrained(folder)
