"""Blends of a base model and its fine-tuned run: WiSE-FT for stretched models."""
