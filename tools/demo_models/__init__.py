"""How the embedded models are made: ``make demo-models`` trains both on scenes of the split ``train``."""
