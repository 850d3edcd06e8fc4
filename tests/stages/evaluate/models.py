"""A CLIP so small that a test can run it, with random weights that are always the same."""

from pathlib import Path

SIZE, PATCH = 64, 16

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 64, "head_width": 32, "patch_size": PATCH},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def save_small_clip(folder: Path, context_length: int = 77, broken: bool = False) -> Path:
    """Write the model into a folder as a run does, and return the folder."""
    import torch
    from open_clip.model import CLIP, set_model_preprocess_cfg

    from glitbuild.clip.saved import save_model
    from glitbuild.clip.towers import stretch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(**CONFIG)
    if broken:
        torch.nn.init.constant_(model.ln_final.weight, float("nan"))
    set_model_preprocess_cfg(model, {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"})
    model.visual.preprocess_cfg |= {"size": SIZE, "resize_mode": "shortest", "mode": "RGB", "fill_color": 0}
    if context_length != 77:
        stretch(model)
    save_model(folder, model, CONFIG)
    return folder
