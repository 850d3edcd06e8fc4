"""Publishing a dataset or a model: HTML pages and repositories on the Hugging Face Hub."""
