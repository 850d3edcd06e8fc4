import pytest

from glitbuild.errors import ConfigError
from glitbuild.stages.train.options import TrainOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"accumulate": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"clip_grad": float("inf")},
        {"loss": "tsl", "tsl_weight": 0.0},
        {"loss": "local,tsl", "local_weight": 0.0, "tsl_weight": 0.0},
        {"unlocked_image_groups": -1},
        {"unlocked_text_layers": -1},
        {"weight_decay": -1.0},
        {"warmup": 1.0},
        {"loss": ""},
        {"loss": "global,glocal"},
        {"loss": "global,global"},
        {"pairs": "worst"},
        {"pairs": "top3", "loss": "global"},
        {"gpus": 1, "workers": 1},
        {"gpus": 0},
        {"workers": 0},
        {"ray_address": "auto"},
        {"resume": True, "overwrite": True},
        {"save_every": 0},
        {"seed": -1},
        {"repeat": 0},
        {"repeat": 101},
        {"repeat": "often"},
        {"repeat": (1, 2)},
        {"cache": ""},
        {"cache": "s3://bucket/cache"},
        *({"cache_size": size} for size in ("0", "0.0000000001", "many", "-1", "5XB", "GB")),
    ],
)
def test_what_cannot_be_is_refused_by_its_option(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as error:
        TrainOptions("data", "run", **wrong)  # type: ignore[arg-type]
    assert f"--{next(iter(wrong)).replace('_', '-')}" in str(error.value)


def test_a_folder_that_tensorboard_cannot_write_to_is_refused() -> None:
    with pytest.raises(ConfigError, match="not valid UTF-8, which TensorBoard requires"):
        TrainOptions("data", "run\udcff")


@pytest.mark.parametrize("out", ["", "s3://bucket/run", "hf://buckets/run"])
def test_a_run_is_a_folder_of_this_machine(out: str) -> None:
    with pytest.raises(ConfigError, match="not a local folder"):
        TrainOptions("data", out)


def test_weights_are_those_of_the_losses_that_are_summed() -> None:
    assert TrainOptions("data", "run").loss_weights == {"global": 1.0, "local": 0.5, "tsl": 1.0}
    two = TrainOptions("data", "run", loss="tsl,global", tsl_weight=2.0)
    assert two.loss_weights == {"global": 1.0, "tsl": 2.0}
    assert TrainOptions("data", "run", workers=3).world_size == 3


def test_one_dataset_or_several_are_each_seen_once_unless_asked() -> None:
    assert TrainOptions("data", "run").repeats == (1.0,)
    several = TrainOptions(["a", "b"], "run")
    assert (several.dirs, several.repeats) == (("a", "b"), (1.0, 1.0))
    assert (
        TrainOptions("data", "run", repeat=2).repeats == TrainOptions("data", "run", repeat="2").repeats == (2.0,)
    )  # type: ignore[arg-type]
    for given in ("2,0.5", (2, 0.5), [2.0, 0.5]):
        assert TrainOptions(("a", "b"), "run", repeat=given).repeats == (2.0, 0.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="2 given for 3 dataset directories"):
        TrainOptions(("a", "b", "c"), "run", repeat=(1, 2))
    with pytest.raises(ConfigError, match="DIR"):
        TrainOptions((), "run")


def test_sizes_have_units_and_a_number_alone_means_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {
        "500MB": 5 * 10**8,
        "50gb": 5 * 10**10,
        "1.5 TiB": 3 << 39,
        "2K": 2000,
        "7B": 7,
        "3": 3 * 10**9,
        None: 5 * 10**10,
    }
    assert {size: TrainOptions("data", "run", cache_size=size).cache_limit for size in sizes} == sizes
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert str(TrainOptions("data", "run").cache_folder) == "/caches/glitbuild/shards"
