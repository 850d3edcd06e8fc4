"""FAST-GOAL's token similarity loss: spans and boxes to tokens and patches, pooling, the loss; all pure."""
