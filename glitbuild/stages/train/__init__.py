"""Fine-tuning a CLIP on matched shards with FAST-GOAL's losses, in one process or several."""
