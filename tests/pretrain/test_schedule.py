import pytest
import torch

from glitbuild.pretrain.schedule import parameter_groups, warm_cosine


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


def test_only_matrices_decay_and_what_is_frozen_is_left_out() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1))
    layer[2].weight.requires_grad_(False)
    decayed, free = parameter_groups(layer, 0.1)
    assert decayed == {"params": [layer[0].weight], "weight_decay": 0.1}
    assert [p.shape for p in free["params"]] == [(3,), (3,), (3,), (1,)]
    assert free["weight_decay"] == 0.0
