"""What others see of a dataset or a model: a page to look at, the Hub."""
