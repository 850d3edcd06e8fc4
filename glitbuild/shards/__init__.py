"""Dataset directories: reading, writing, resuming, validation and statistics."""
