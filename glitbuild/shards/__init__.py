"""The dataset directory: read, write, resume, validate, count."""
