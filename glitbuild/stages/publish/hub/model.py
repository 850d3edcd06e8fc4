"""Contents of a model's repository on the Hub: the files that others need, and its card."""

import logging
from dataclasses import dataclass
from typing import Any

from glitbuild.clip.saved import CONFIG, WEIGHTS
from glitbuild.errors import ConfigError
from glitbuild.shards.store import Store
from glitbuild.stages.export.command import WRITTEN
from glitbuild.stages.publish.hub.command import PushOptions
from glitbuild.stages.publish.hub.dataset import options_table, table
from glitbuild.stages.publish.hub.metrics import EVAL_SCHEMA, GIVEN_FIGURES, Figures, read_json, read_report
from glitbuild.stages.publish.hub.remote import CARD, Contents, Entry
from glitbuild.stages.publish.hub.survey import metadata
from glitbuild.stages.train.command import RUN
from glitbuild.stages.train.folder import LINES

TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

A CLIP
{%- if trained %} that was fine-tuned with glitbuild on images with long captions: whole images and captions,
together with the regions and sentences in them{% endif %}. It reads texts of up to {{ context_length }} tokens.
{% if open_clip %}
## Load it with open_clip

```python
import open_clip
from PIL import Image

model, preprocess = open_clip.create_model_from_pretrained("hf-hub:{{ repo }}")
tokenizer = open_clip.get_tokenizer("hf-hub:{{ repo }}")
image = model.encode_image(preprocess(Image.new("RGB", (640, 480)))[None], normalize=True)
text = model.encode_text(tokenizer(["A grey image. " * 40]), normalize=True)
print(image @ text.T)
```
{% endif %}{% if hf %}
## Load it with transformers

```python
from PIL import Image
from transformers import AutoProcessor, CLIPModel

model = CLIPModel.from_pretrained("{{ repo }}")
processor = AutoProcessor.from_pretrained("{{ repo }}")
texts = ["A grey image. " * 40]
image = Image.new("RGB", (640, 480))
inputs = processor(text=texts, images=image, padding=True, truncation=True, return_tensors="pt")
print(model(**inputs).logits_per_image)
```
{% endif %}{% if figures %}
## Metrics

In percent, computed by `glitbuild eval`.
{% for headline, tables in figures %}
{{ headline }}
{% for one in tables %}
{{ one }}
{% endfor %}{% endfor %}{% endif %}{% if trained %}
## How it was trained

`glitbuild train` with these options:

{{ trained }}
{% endif %}"""


METRICS = {"R": "recall", "mAP": "map"}


@dataclass(frozen=True, slots=True)
class Model:
    """Facts about a model.

    Attributes:
        config: configuration in the form of open_clip or transformers.
        options: options of its training; empty for an export.
        done: results of its training; empty for an export.
        open_clip: whether open_clip can load it.
        hf: whether transformers can load it.
    """

    config: dict[str, Any]
    options: dict[str, Any]
    done: dict[str, Any]
    open_clip: bool
    hf: bool

    @property
    def context_length(self) -> int:
        """Number of tokens that the model reads per text."""
        if self.open_clip:
            return int(self.config["model_cfg"]["text_cfg"].get("context_length", 77))
        return int(self.config.get("text_config", {}).get("max_position_embeddings", 77))


def model_card(options: PushOptions, model: Model, figures: list[Figures]) -> str:
    """Return the card of a model.

    Args:
        options: options of the command.
        model: facts about the model.
        figures: contents of its evaluation files.
    """
    from huggingface_hub import ModelCard, ModelCardData

    name = options.repo.partition("/")[2]
    base = base_model(model.options)
    results = [result for content in figures for result in _results(content)]
    card_data = ModelCardData(
        language="en",
        library_name="open_clip" if model.open_clip else "transformers",
        pipeline_tag="zero-shot-image-classification",
        tags=["glitbuild", "clip", "image-text", "long-captions"],
        base_model=base,
        model_name=name if results else None,
        eval_results=results or None,
        base_model_relation="finetune" if base else None,
        **metadata([options.license]),
    )
    text: ModelCard = ModelCard.from_template(
        card_data,
        template_str=TEMPLATE,
        name=name,
        repo=options.repo,
        context_length=model.context_length,
        open_clip=model.open_clip,
        hf=model.hf,
        figures=[(_headline(content), _tables(content)) for content in figures],
        trained=options_table(model.options | model.done),
    )
    return str(text)


def base_model(options: dict[str, Any]) -> str | None:
    """Return the repository of the model that a training started from, if open_clip downloaded it from the Hub.

    Args:
        options: options of the training.
    """
    pretrained = options.get("pretrained", "")
    if not pretrained or pretrained.startswith("sha256:"):
        return None
    import open_clip

    found = open_clip.get_pretrained_cfg(options["model"], pretrained) or {}
    return "/".join(str(found.get("hf_hub") or "").split("/")[:2]) or None


def _results(content: Figures) -> list[Any]:
    from huggingface_hub import EvalResult

    dataset = content["dataset"]["name"]
    results = []
    for suite, items in (("retrieval", ""), ("joint", ", with regions")):
        for row, columns in content["suites"].get(suite, {}).get("figures", {}).items():
            for column, value in columns.items():
                kind, _, at = column.partition("@")
                result = EvalResult(
                    task_type="image-text-retrieval",
                    dataset_type=dataset,
                    dataset_name=dataset,
                    metric_type=f"{METRICS[kind]}@{at}",
                    metric_name=f"{row.replace('_', ' ')} {column}{items}",
                    metric_value=value,
                )
                results.append(result)
    return results


def _headline(content: Figures) -> str:
    dataset, tokens = content["dataset"], content["model"]["context_length"]
    what = f"{dataset['samples']:,} captions, {dataset['images']:,} images, {tokens} tokens"
    return f"On {dataset['name']}: {what}."


def _tables(content: Figures) -> list[str]:
    found = []
    for suite, of in content["suites"].items():
        columns = list(dict.fromkeys(column for row in of["figures"].values() for column in row))
        rows = [
            [name.replace("_", " "), *(f"{row[column]:.2f}" if column in row else "" for column in columns)]
            for name, row in of["figures"].items()
        ]
        found.append(table([suite, *(column.replace("_", " ") for column in columns)], rows))
    return found


HF_CONFIG, HF_WEIGHTS = "config.json", "model.safetensors"


log = logging.getLogger(__name__)


def holds_model(store: Store) -> bool:
    """Return whether a folder is a run or an export."""
    return any(store.exists(name) for name in (RUN, WEIGHTS, HF_WEIGHTS))


def model_contents(options: PushOptions) -> Contents:
    """Return the contents of a model's repository, without checkpoints and TensorBoard files.

    A ``README.md`` in the folder is used as the card; otherwise one is generated.

    Raises:
        ConfigError: there is no complete model, or its training isn't finished.
        DatasetError: a file doesn't contain what its name says.
    """
    store = Store(options.path)
    present = store.sizes("")
    run = read_json(store, RUN) if RUN in present else {}
    if RUN in present and "done" not in run:
        raise ConfigError(
            options.path, "the training isn't finished", "run the same `glitbuild train` command again"
        )
    open_clip, hf = {CONFIG, WEIGHTS} <= present.keys(), {HF_CONFIG, HF_WEIGHTS} <= present.keys()
    if not (open_clip or hf):
        raise ConfigError(options.path, "it contains no model", "give the folder of a finished run or of an export")
    figures = {name: read_json(store, name) for name in present if name.endswith(".json") and name not in WRITTEN}
    figures = {name: content for name, content in figures.items() if content.get("schema") == EVAL_SCHEMA}
    entries = [Entry.stored(store, name) for name in present if name in WRITTEN | {RUN, LINES} | figures.keys()]
    if options.eval:
        figures[GIVEN_FIGURES], given = read_report(options.eval)
        entries = [entry for entry in entries if entry.name != GIVEN_FIGURES] + [given]
    if CARD in present:
        card = Entry.stored(store, CARD)
    else:
        if not options.license:
            log.warning("push: the card states no licence; set it with --license")
        config = read_json(store, CONFIG if open_clip else HF_CONFIG)
        model = Model(config, run.get("config", {}), run.get("done", {}), open_clip, hf)
        card = Entry.made(CARD, model_card(options, model, list(figures.values())).encode())
    weights = tuple(entry for entry in entries if entry.name in (WEIGHTS, HF_WEIGHTS))
    others = tuple(entry for entry in entries if entry not in weights)
    return Contents("model", store, weights, (*others, card))
