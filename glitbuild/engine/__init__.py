"""Execution of stages shard by shard: tasks, workers, local and Ray runners, and progress."""
