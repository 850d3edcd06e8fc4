"""Turn images with long captions into region-sentence pairs, and train CLIP on them."""

__version__ = "0.1.0"
