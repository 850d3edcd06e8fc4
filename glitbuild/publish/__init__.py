"""Publishing: what others see of a dataset or a model."""
