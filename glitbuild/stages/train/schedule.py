"""What both trainings share: which parameters decay, and how the learning rate goes up and down."""

import math
from typing import Any

import torch


def parameter_groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return a model's parameters in two groups: matrices decay; gains, biases and scales don't."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]


def warm_cosine(
    optimizer: torch.optim.Optimizer, steps: int, warm: float = 0.05
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a schedule that rises for a share ``warm`` of the steps, then falls to 0 as a cosine."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps, warm))


def rate(step: int, steps: int, warm: float) -> float:
    """Return the learning rate of a step as a share of the highest: up to it in a line, then a cosine to 0."""
    rise = round(steps * warm)
    if step < rise:
        return (step + 1) / rise
    return 0.5 + 0.5 * math.cos(math.pi * (step - rise) / max(1, steps - rise))
