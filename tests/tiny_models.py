"""Small randomly initialised set predictors, as ``save_pretrained`` leaves real ones."""

from pathlib import Path

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
