from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch

from glitbuild.clip.load import ClipSpec
from glitbuild.clip.saved import CONFIG, WEIGHTS
from glitbuild.errors import ModelError
from glitbuild.stages.export import open_clip as export
from tests.stages.export.conftest import RUNS
from tests.stages.export.inputs import captions, pictures
from tests.tiny_models import tiny_clip

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("run", RUNS)
def test_open_clip_reads_the_export_and_gives_the_same(
    run: str, runs: Path, exported: Callable[[str, str], Path], assets: Path
) -> None:
    folder = exported(run, "open_clip")
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]
    name = f"local-dir:{folder}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    assert tokenizer.context_length == model.context_length == 248
    spec = ClipSpec.parse(str(runs / run))
    source = export.OpenClipEncoder(spec.load("cpu"), spec.tokenizer())
    images, texts = pictures((101, 64), (64, 90)), ["a dog", *captions(assets)[:3]]
    with torch.inference_mode():
        ours = model.eval().encode_image(torch.stack([transform(image) for image in images]))
        assert torch.equal(ours, source.images(images))
        assert torch.equal(model.encode_text(tokenizer(texts)), source.texts(texts))


def test_it_is_read_from_the_hub_too(exported: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exported("quick-gelu", "open_clip")

    def download(model_id: str, filename: str | None = None, cache_dir: str | None = None) -> str:
        assert model_id == "someone/glit"
        return str(folder / (filename or WEIGHTS))

    monkeypatch.setattr(open_clip.factory, "download_pretrained_from_hf", download)
    model = open_clip.create_model("hf-hub:someone/glit")
    assert model.context_length == open_clip.get_tokenizer("hf-hub:someone/glit").context_length == 248
    known = open_clip.create_model(f"local-dir:{folder}").state_dict()
    assert all(torch.equal(value, known[name]) for name, value in model.state_dict().items())


def test_a_tokenizer_that_a_folder_does_not_hold_is_refused() -> None:
    with pytest.raises(ModelError, match="tokenizer bert-base-uncased"):
        export.check(*tiny_clip(text_cfg={"hf_tokenizer_name": "bert-base-uncased", "vocab_size": 99}))
