"""Evaluation of a model: retrieval, localization, robustness, joint mAP, and the averaging baseline."""
