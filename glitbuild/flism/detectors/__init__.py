"""Object detectors with a common interface, one module per kind."""
