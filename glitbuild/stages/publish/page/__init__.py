"""Pages to look at: a dataset's pairs, and its statistics; each one self-contained HTML file."""
