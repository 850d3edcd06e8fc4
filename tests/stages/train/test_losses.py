"""The loss as programs call it: the one that train computes, in one process and in several."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

import glitbuild
from glitbuild.errors import ModelError
from glitbuild.stages.train.data import Batch
from glitbuild.stages.train.losses import GlitLoss, Objective, Views
from tests.stages.train.worlds import matched_scenes, small_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return matched_scenes(tmp_path_factory.mktemp("objective") / "pairs", (5,))


def batch_of(pairs: Path, model: Any, rows: range = range(5)) -> Batch:
    data = glitbuild.GlitDataset(str(pairs), model)
    return data.collate_fn([data[row] for row in rows])


def gradients(model: Any) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def test_it_is_the_loss_of_train(pairs: Path) -> None:
    model = small_clip().train()
    batch = batch_of(pairs, model)
    weights = {"global": 1.0, "local": 0.25, "tsl": 2.0}
    expected = Objective(weights)(Views(model, frozenset(weights))(batch))
    found = GlitLoss(local_weight=0.25, tsl_weight=2.0)(model, batch)
    assert found.keys() == expected.keys() == {*weights, "loss"}
    for name, value in expected.items():
        assert torch.equal(found[name], value) and value.dtype == torch.float32
    assert found["loss"].item() == pytest.approx(
        sum(weights[name] * found[name].item() for name in weights), rel=1e-6
    )
    found["loss"].backward()
    assert gradients(model).norm() > 0


def test_a_loss_without_weight_is_not_computed(pairs: Path) -> None:
    model = small_clip().train()
    assert set(GlitLoss(local_weight=0, tsl_weight=0)(model, batch_of(pairs, model))) == {"global", "loss"}


def test_what_would_go_wrong_silently_is_refused(pairs: Path) -> None:
    for weight in (-0.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            GlitLoss(local_weight=weight)
    model = small_clip()
    with pytest.raises(TypeError, match="DataParallel"):
        GlitLoss()(torch.nn.DataParallel(model), batch_of(pairs, model))
    with pytest.raises(ModelError, match="image tower"):
        model.visual = torch.nn.Identity()
        GlitLoss()(model, batch_of(pairs, small_clip()))


class Module(torch.nn.Module):
    """As a Lightning module: the model and its loss, which DistributedDataParallel wraps."""

    def __init__(self, model: Any, loss: GlitLoss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch) -> torch.Tensor:
        loss: torch.Tensor = self.loss(self.model, batch)["loss"]
        return loss


def _rank(pairs: Path, meeting: Path, rank: int, rows: range, answer: Connection) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    model = small_clip().train()
    module = DistributedDataParallel(Module(model, GlitLoss(rank=rank, world_size=2)))
    loss = module(batch_of(pairs, model, rows))
    loss.backward()
    answer.send((loss.item(), gradients(model).numpy()))
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_loss_and_the_gradients_of_one(pairs: Path, tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    shares = (range(3), range(3, 5))  # of different sizes
    pipes = [fork.Pipe(duplex=False) for _ in shares]
    processes = [
        fork.Process(target=_rank, args=(pairs, tmp_path / "meeting", rank, rows, pipes[rank][1]), daemon=True)
        for rank, rows in enumerate(shares)
    ]
    for process in processes:
        process.start()
    try:
        assert all(receive.poll(100) for receive, _ in pipes)
        answers = [receive.recv() for receive, _ in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()
    model = small_clip().train()
    whole = GlitLoss()(model, batch_of(pairs, model))["loss"]
    whole.backward()
    assert sum(loss for loss, _ in answers) / 2 == pytest.approx(whole.item(), rel=1e-5)
    for _, found in answers:
        assert torch.from_numpy(found) == pytest.approx(gradients(model), rel=1e-3, abs=1e-5)
