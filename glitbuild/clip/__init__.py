"""CLIP models through open_clip: load one, prepare its inputs, encode images and texts."""
