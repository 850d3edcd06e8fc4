"""How good a model is: retrieval, localization, robustness, joint mAP, and the averaging baseline."""
