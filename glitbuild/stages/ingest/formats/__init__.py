"""The kinds of input, one per file: each cuts its input into ranges, and reads the rows of a range."""
