"""Fine-tuning CLIP on matched shards with FAST-GOAL's losses, in one or more processes."""
