"""The synthetic world: scenes whose regions and sentences are known exactly."""
