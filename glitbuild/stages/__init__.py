"""The stages, in the order of the data: scenes or ingest, caption, match, train, evaluate, export, publish."""
