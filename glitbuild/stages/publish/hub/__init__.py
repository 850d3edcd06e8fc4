"""A dataset or a model as a repository on the Hugging Face Hub."""
