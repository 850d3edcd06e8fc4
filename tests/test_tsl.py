"""Pooling and loss against a slow, obvious reference in float64, gradients included."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glitbuild.tsl import TSLLoss, masked_mean, token_similarity


def slow_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    rows = []
    for sample, chosen in zip(states, mask, strict=True):
        own = [sample[place] for place in range(len(sample)) if chosen[place]]
        rows.append(sum(own) / len(own) if own else torch.zeros_like(sample[0]))
    return torch.stack(rows)


def slow_loss(pooled: torch.Tensor, local: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    terms = []
    for p, v, counts in zip(pooled, local, mask, strict=True):
        if counts:
            terms.append((torch.dot(p, v) / (p.norm() * v.norm()) - 1) ** 2)
    return sum(terms) / len(terms) if terms else torch.zeros((), dtype=pooled.dtype)


def relative(one: torch.Tensor, two: torch.Tensor) -> float:
    return float(((one.double() - two).norm() / two.norm().clamp(min=1e-12)).detach())


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 9), st.floats(0, 1))
def test_values_and_gradients_are_those_of_the_reference(seed: int, batch: int, count: int, share: float) -> None:
    torch.manual_seed(seed)
    states = torch.randn(batch, count, 6, dtype=torch.float64)
    local = torch.randn(batch, 6, dtype=torch.float64)
    mask = torch.rand(batch, count) < share
    fast = [value.float().requires_grad_() for value in (states, local)]
    slow = [value.clone().requires_grad_() for value in (states, local)]
    pooled, expected = masked_mean(fast[0], mask), slow_mean(slow[0], mask)
    assert relative(pooled, expected) < 1e-5
    loss = token_similarity(pooled, fast[1], mask.any(dim=1))
    reference = slow_loss(expected, slow[1], mask.any(dim=1))
    assert torch.allclose(loss.double(), reference, atol=1e-5)
    if mask.any():
        loss.backward()
        reference.backward()
        assert all(relative(a.grad, b.grad) < 1e-4 for a, b in zip(fast, slow, strict=True))


def test_a_sample_without_patches_adds_nothing_and_gets_no_gradient() -> None:
    states = torch.randn(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    local = torch.randn(2, 4)
    loss = token_similarity(masked_mean(states, mask), local, mask.any(dim=1))
    loss.backward()
    assert torch.isfinite(loss)
    assert states.grad is not None
    assert states.grad[1].abs().sum() == 0
    assert torch.isfinite(states.grad).all()


def test_without_any_sample_the_loss_is_zero() -> None:
    mask = torch.zeros(2, 3, dtype=torch.bool)
    pooled = masked_mean(torch.randn(2, 3, 4), mask)
    assert token_similarity(pooled, torch.randn(2, 4), mask.any(dim=1)) == 0


def test_the_loss_is_the_sum_of_both_sides_each_over_its_own_mask() -> None:
    torch.manual_seed(1)
    patches, tokens, crops, sentences = (torch.randn(5, 6, requires_grad=True) for _ in range(4))
    has_box = torch.tensor([True, True, False, False, True])
    has_span = torch.tensor([True, False, True, True, True])
    loss = TSLLoss()(patches, tokens, crops, sentences, has_box, has_span)
    expected = slow_loss(patches, crops, has_box) + slow_loss(tokens, sentences, has_span)
    assert torch.allclose(loss, expected, atol=1e-6)
    loss.backward()
    assert [bool(each.grad.abs().sum()) for each in (patches, tokens, crops, sentences)] == [True] * 4
    assert patches.grad[2:4].abs().sum() == tokens.grad[1].abs().sum() == 0


@pytest.mark.parametrize(
    ("rows", "mask", "words"),
    [
        (3, torch.ones(4, dtype=torch.bool), r"\(3, 6\)"),
        (4, torch.ones(4), "float32"),
        (4, torch.ones(3) > 0, r"\(3,\)"),
    ],
)
def test_tensors_that_do_not_fit_together_are_refused(rows: int, mask: torch.Tensor, words: str) -> None:
    whole = torch.randn(4, 6)
    with pytest.raises(ValueError, match=words):
        TSLLoss()(whole, whole, whole[:rows], whole, mask, torch.ones(4, dtype=torch.bool))
