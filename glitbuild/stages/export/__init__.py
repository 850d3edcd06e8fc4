"""Stage that writes a model as a folder for another library, and compares it with its source."""
