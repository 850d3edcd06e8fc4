"""Image decoding, checking and storing, and the details of the input formats."""
