"""Inputs of every kind, as rows; a row becomes a sample or a skipped row."""
