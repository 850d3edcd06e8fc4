"""The commands, one per file: options, help, and a call of what does the work."""
