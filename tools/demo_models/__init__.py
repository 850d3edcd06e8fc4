"""Training of the embedded models: ``make demo-models`` trains both on scenes of the split ``train``."""
