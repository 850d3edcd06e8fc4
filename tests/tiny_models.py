"""Small randomly initialised models, as folders that look like those of real ones."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

SIZE = {"shortest_edge": 64, "longest_edge": 96}
QUERIES = 10


def save_yolos(folder: Path) -> None:
    """Save a YOLOS that finds ten boxes in every picture."""
    import torch
    import transformers as hf

    config = hf.YolosConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=[64, 96],
        num_detection_tokens=QUERIES,
        num_labels=3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf.YolosForObjectDetection(config).save_pretrained(folder)
    hf.YolosImageProcessor(size=SIZE).save_pretrained(folder)


def save_detr(folder: Path) -> None:
    """Save a DETR that finds ten boxes in every picture."""
    import torch
    import transformers as hf

    backbone = hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], out_features=["stage2"])
    config = hf.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone_config=backbone,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=QUERIES,
        num_labels=3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        hf.DetrForObjectDetection(config).save_pretrained(folder)
    hf.DetrImageProcessor(size=SIZE).save_pretrained(folder)


CLIP_CFG: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 248, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
}


def tiny_clip(preprocess: dict[str, Any] | None = None, **changes: Any) -> tuple[Any, dict[str, Any]]:
    """Return a CLIP with random weights that reads 248 tokens, and its architecture.

    Args:
        preprocess: what differs from open_clip's default, such as ``{"resize_mode": "squash"}``.
        changes: parts of the architecture that differ; those of a tower are put into it.
    """
    import torch
    from open_clip.model import CLIP, CustomTextCLIP, set_model_preprocess_cfg
    from open_clip.transform import PreprocessCfg

    config = CLIP_CFG | {
        name: CLIP_CFG[name] | value if isinstance(value, dict) else value for name, value in changes.items()
    }
    options = {name: value for name, value in config.items() if name != "custom_text"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = (CustomTextCLIP if config.get("custom_text") else CLIP)(**options)
        for name, value in model.named_parameters():
            # As they are made, all inputs get much the same embedding, and a mistake would not be seen.
            if value.ndim > 1:
                spread = 1 if "embedding" in name else 1.5 * value.shape[-1] ** -0.5
                value.data.copy_(torch.randn_like(value) * spread)
            elif "logit_scale" not in name:
                value.data.add_(torch.randn_like(value) * 0.3)
    size = config["vision_cfg"]["image_size"]
    set_model_preprocess_cfg(model, asdict(PreprocessCfg(size=size)) | (preprocess or {}))
    return model.eval(), config


def save_clip(folder: Path, **options: Any) -> None:
    """Save such a CLIP as a run does."""
    from glitbuild.clip.saved import save_model

    save_model(folder, *tiny_clip(**options))
