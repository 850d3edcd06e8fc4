"""Weights between those of a base model and of its fine-tuned run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.preprocess import Preprocess
from glitbuild.clip.towers import stretch
from glitbuild.errors import ModelError
from glitbuild.options import blaming

if TYPE_CHECKING:
    from torch import Tensor


def blended(base: "Mapping[str, Tensor]", tuned: "Mapping[str, Tensor]", alpha: float) -> "dict[str, Tensor]":
    """Return (1 - alpha) base + alpha tuned: WiSE-FT (Wortsman et al., arXiv 2109.01903).

    The ends are exact: 0 gives the base's weights bit for bit, 1 the run's. Counters, which are no weights, are the
    run's unless alpha is 0.

    Args:
        base: state dict of the base.
        tuned: state dict of the run, with the same names and shapes.
        alpha: share of the run, from 0 to 1.
    """
    if alpha in (0, 1):
        return dict(tuned if alpha else base)
    return {
        name: (1 - alpha) * base[name] + alpha * value if value.is_floating_point() else value
        for name, value in tuned.items()
    }


def load_both(base: ClipSpec, run: ClipSpec) -> tuple[Any, Any]:
    """Return both models on the CPU, the base stretched to as many tokens as the run reads.

    Raises:
        ModelError: they are not of the same architecture, or see images differently.
    """
    one, other = base.load("cpu"), run.load("cpu")
    if one.context_length != other.context_length:
        with blaming(base.shown):
            stretch(one, other.context_length)
    shapes = [{name: tuple(value.shape) for name, value in model.state_dict().items()} for model in (one, other)]
    if different := [name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name)]:
        why = f"its weights are not those of {run.name}'s architecture ({different[0]})"
        raise ModelError(base.shown, why, "give the model that the run was fine-tuned from")
    if Preprocess.of(one) != Preprocess.of(other):
        why = f"it preprocesses images differently than {run.name}"
        raise ModelError(base.shown, why, "give the model that the run was fine-tuned from")
    gelus = [bool(spec.model_cfg().get("quick_gelu")) for spec in (base, run)]
    if gelus[0] != gelus[1]:
        why = f"its activation is not that of {run.name} (QuickGELU: {gelus[0]}, {gelus[1]})"
        raise ModelError(base.shown, why, "give the model that the run was fine-tuned from")
    return one, other
