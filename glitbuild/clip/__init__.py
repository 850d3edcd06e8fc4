"""CLIP models through open_clip: loading, preprocessing, and encoding of images and texts."""
