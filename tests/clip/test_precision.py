import pytest
import torch

from glitbuild.clip import precision
from glitbuild.clip.precision import PRECISIONS, choose_precision, computing, convert, measure_bf16


@pytest.mark.parametrize("name", [name for name in PRECISIONS if name != "auto"])
def test_what_is_asked_for_is_used(name: str) -> None:
    assert choose_precision(name, "cpu") == choose_precision(name, "cuda:0") == name


@pytest.mark.parametrize(("gain", "chosen"), [(0.2, "fp32"), (1.29, "fp32"), (1.3, "bf16"), (8.0, "bf16")])
def test_a_cpu_computes_in_bf16_where_that_is_much_faster(
    gain: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "measure_bf16", lambda: gain)
    assert choose_precision("auto", "cpu") == chosen
    assert choose_precision("auto", "cuda") == "fp16"


def test_the_measurement_leaves_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert 0.001 < measure_bf16() < 1000
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_products_are_of_the_chosen_format(name: str, dtype: torch.dtype) -> None:
    layer, values = torch.nn.Linear(4, 4), torch.ones(2, 4)
    with torch.inference_mode(), computing("cpu", name):
        assert layer(values).dtype == dtype


def test_converted_weights_give_what_autocast_gives_and_keep_the_rest() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.LayerNorm(64), torch.nn.Linear(64, 8)).eval()
    values = torch.randn(32, 64)
    with torch.inference_mode(), computing("cpu", "bf16"):
        expected = model(values)
        convert(model, "fp32")
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}
        convert(model, "bf16")
        found = model(values)
    assert found.dtype == expected.dtype
    assert found.float() == pytest.approx(expected.float(), abs=0.02)
    assert [model[i].weight.dtype for i in range(3)] == [torch.bfloat16, torch.float32, torch.bfloat16]
