"""Datasets and models as repositories on the Hugging Face Hub."""
