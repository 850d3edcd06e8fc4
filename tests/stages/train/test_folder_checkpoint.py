"""Where the optimizer's tensors are after a checkpoint was loaded: on whatever device it wants them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch._subclasses.fake_tensor import FakeTensorMode

from glitbuild.errors import DatasetError
from glitbuild.stages.train.folder import State, load_checkpoint, save_checkpoint


def model(device: str = "cpu") -> torch.nn.Module:
    """Return a model whose parameters all get gradients but the last, as ``logit_scale`` from ``tsl`` alone."""
    with torch.device(device):
        layers = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2), torch.nn.Linear(2, 2))
    layers[2].bias.requires_grad_(False)
    return layers


def optimizer_of(layers: torch.nn.Module, **options: Any) -> torch.optim.AdamW:
    trained = [parameter for parameter in layers.parameters() if parameter.requires_grad]
    groups = [{"params": trained[:1], "weight_decay": 0.1}, {"params": trained[1:], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.1, **options)


def step(layers: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    layers(torch.ones(4, 3, device=next(layers.parameters()).device)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    layers = model()
    optimizer = optimizer_of(layers)
    for _ in range(3):
        step(layers, optimizer)
    save_checkpoint(tmp_path, State(3, 1, 2), layers, optimizer)
    return tmp_path


@pytest.mark.parametrize("before", [{"fused": True}, {"foreach": True}])
@pytest.mark.parametrize("after", [{"fused": True}, {"foreach": True}])
def test_an_optimizer_goes_on_as_if_never_stopped(before: Any, after: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = model()
    optimizer = optimizer_of(whole, **before)
    for number in range(5):
        if number == 3:
            save_checkpoint(tmp_path, State(3), whole, optimizer)
        step(whole, optimizer)
    again = model()
    continued = optimizer_of(again, **after)
    assert load_checkpoint(tmp_path, again, continued) == State(3)
    assert [group["weight_decay"] for group in continued.param_groups] == [0.1, 0.0]
    for _ in range(2):
        step(again, continued)
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "where"),
    [({"fused": True}, "cuda:0"), ({"capturable": True}, "cuda:0"), ({"foreach": True}, "cpu")],
)
def test_on_a_gpu_step_is_where_the_optimizer_wants_it(
    options: Any, where: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No GPU is needed: fake tensors know their devices, and refuse what CUDA would refuse.
    real = {path.name: load_file(path) for path in saved.rglob("*.safetensors")}
    with FakeTensorMode() as fake:
        files = {
            name: {key: fake.from_tensor(value) for key, value in state.items()} for name, state in real.items()
        }
        monkeypatch.setattr("safetensors.torch.load_file", lambda path: files[path.name])
        layers = model("cuda")
        optimizer = optimizer_of(layers, **options)
        load_checkpoint(saved, layers, optimizer)
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        assert len(trained) == len(optimizer.state) == 5
        for parameter in trained:
            state = optimizer.state[parameter]
            assert str(state["step"].device) == where
            assert state["step"].dtype == torch.float32
            assert {str(state[name].device) for name in ("exp_avg", "exp_avg_sq")} == {"cuda:0"}
        for parameter in trained:  # the backward pass itself would need a GPU
            parameter.grad = torch.zeros_like(parameter)
        if where != "cpu":  # there it reads the numbers, which fake tensors have not
            optimizer.step()


def test_a_step_on_the_cpu_would_not_do_for_a_fused_optimizer(saved: Path) -> None:
    # The rule of torch itself, which the test above leans on.
    rule = torch.optim.Optimizer._process_value_according_to_param_policy
    with FakeTensorMode():
        parameter = torch.nn.Parameter(torch.zeros(2, device="cuda"))
        for fused, where in ((True, "cuda"), (False, "cpu")):
            group = [{"params": [0], "fused": fused}]
            assert rule(parameter, torch.zeros(()), 0, group, "step").device.type == where


def _lose(name: str) -> Any:
    def harm(state: dict[str, torch.Tensor]) -> None:
        del state[name]

    return harm


def _cut(state: dict[str, torch.Tensor]) -> None:
    state["0.weight:exp_avg"] = state["0.weight:exp_avg"][:1].clone()


def _of_what_is_locked(state: dict[str, torch.Tensor]) -> None:
    state["2.bias:step"] = torch.ones(())


@pytest.mark.parametrize("harm", [_lose("0.weight:step"), _lose("1.bias:exp_avg_sq"), _cut, _of_what_is_locked])
def test_half_an_optimizer_is_refused(harm: Any, saved: Path) -> None:
    path = saved / "checkpoints" / "00000003" / "optimizer.safetensors"
    state = load_file(path)
    harm(state)
    save_file(state, path)
    layers = model()
    with pytest.raises(DatasetError, match="00000003"):
        load_checkpoint(saved, layers, optimizer_of(layers))
