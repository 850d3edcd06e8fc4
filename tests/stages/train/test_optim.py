import math

import pytest
import torch

from glitbuild.stages.train.optim import parameter_groups, warm_cosine


def test_the_rate_rises_then_falls_to_nothing() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    schedule = warm_cosine(optimizer, 100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == 2.0
    peak = rates.index(2.0)
    assert peak == 4
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_without_a_rise_it_is_a_cosine_from_the_first_step() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule = warm_cosine(optimizer, 8, warm=0.0)
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1 + math.cos(math.pi * step / 8) for step in range(8)])


def test_only_matrices_decay_and_what_is_frozen_is_left_out() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
    layer[2].weight.requires_grad_(False)
    decayed, free = parameter_groups(layer, 0.1)
    assert decayed == {"params": [layer[0].weight], "weight_decay": 0.1}
    assert [p.shape for p in free["params"]] == [(3,), (3,), (3,), (1,)]
    assert free["weight_decay"] == 0.0
