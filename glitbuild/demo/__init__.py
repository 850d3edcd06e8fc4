"""The whole pipeline on scenes with the embedded models, or on photographs with real ones."""
