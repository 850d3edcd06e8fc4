"""Self-contained HTML pages: a dataset's pairs, and its statistics."""
