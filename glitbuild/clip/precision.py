"""Number formats in which CLIP computes: float32, or 16 bits where the hardware multiplies them faster."""

import logging
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

AUTO, FP32, BF16, FP16 = "auto", "fp32", "bf16", "fp16"
PRECISIONS = (AUTO, FP32, BF16, FP16)

GAIN = 1.3
"""How many times as fast bf16 must be on a CPU to be chosen."""

SECONDS, TURNS = 0.3, 5
"""Time for which the two formats are measured on a CPU, and how often each of them at least."""

log = logging.getLogger(__name__)


def computing(device: str, precision: str) -> AbstractContextManager[Any]:
    """Return the context in which a model with float32 weights computes: autocast, unless in float32.

    Args:
        device: torch device.
        precision: ``fp32``, ``bf16`` or ``fp16``.
    """
    import torch

    if precision == FP32:
        return nullcontext()
    return torch.autocast(torch.device(device).type, torch.bfloat16 if precision == BF16 else torch.float16)


def convert(model: Any, precision: str) -> None:
    """Convert the weights of a model's products to 16 bits, in place; the others stay float32.

    The model is to be used under autocast (``computing``), and gives the same results, but for rounding, as without
    the conversion. But then autocast converts the weights for each batch, and PyTorch multiplies by a copy of them
    for each image or text, which is several times slower on a CPU.

    Args:
        model: torch module.
        precision: ``fp32``, for which nothing is done, ``bf16`` or ``fp16``.
    """
    import torch
    from torch import nn

    if precision == FP32:
        return
    dtype = torch.bfloat16 if precision == BF16 else torch.float16
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.MultiheadAttention):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


def choose_precision(precision: str, device: str) -> str:
    """Return the precision to use for inference.

    Args:
        precision: ``fp32``, ``bf16`` or ``fp16``, which are returned as they are; or ``auto``: float16 on a GPU; on
            a CPU bfloat16 if this machine multiplies it at least 1.3 times as fast as float32, which is measured in
            less than a second, and otherwise float32.
        device: torch device.
    """
    if precision != AUTO:
        return precision
    if not device.startswith("cpu"):
        return FP16
    gain = measure_bf16()
    log.debug("bf16 products are %.2f x as fast as fp32 on this machine", gain)
    return BF16 if gain >= GAIN else FP32


def measure_bf16() -> float:
    """Return how many times as fast this machine's CPU multiplies bfloat16 matrices as float32 ones, in one thread.

    The product is that of a layer of ViT-B on a few images. The formats take turns, and the fastest of the turns
    count, because another process can only make a turn slower.
    """
    import torch

    tokens, weights = torch.ones(392, 768), torch.ones(3072, 768)
    operands = {dtype: (tokens.to(dtype), weights.to(dtype)) for dtype in (torch.float32, torch.bfloat16)}
    least = dict.fromkeys(operands, float("inf"))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        end, turns = time.perf_counter() + SECONDS, 0
        with torch.inference_mode():
            while time.perf_counter() < end or turns < TURNS:
                turns += 1
                for dtype, (left, right) in operands.items():
                    start = time.perf_counter()
                    torch.nn.functional.linear(left, right)
                    least[dtype] = min(least[dtype], time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return least[torch.float32] / least[torch.bfloat16]
