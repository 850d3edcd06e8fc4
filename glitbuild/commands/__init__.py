"""The commands, one a file: options, help, and a call of what does the work."""
