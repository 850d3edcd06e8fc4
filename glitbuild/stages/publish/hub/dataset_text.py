"""What the card of a dataset says to people; the placeholders are Jinja's."""

MADE_BY = {
    "ingest": "Images and long captions, checked and gathered with glitbuild.",
    "match": "Images with long captions. Every sentence of a caption is paired with the region of its picture that "
    "it is most like, among detections, the quadrants and the centre.",
    "scenes": "Drawn scenes with long captions; `truth/` says what each sentence is about, and where that is.",
}

TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

{{ what }}

{{ figures }}
{% if picture %}
![Samples: pictures with their regions, and below each a sentence]({{ picture }})
{% endif %}
## Load it

With [datasets](https://github.com/huggingface/datasets):

```python
from datasets import load_dataset

samples = load_dataset("{{ repo }}", split="train")  # streaming=True reads it without a copy on the disk
print(samples[0]["jpg"].size, samples[0]["json"]["caption"])
{%- if matched %}

pairs = load_dataset("parquet", data_files="hf://datasets/{{ repo }}/pairs/*.parquet", split="train")
print(pairs[0]["text"], [pairs[0][side] for side in ("x1", "y1", "x2", "y2")])
{%- endif %}
```

With [webdataset](https://github.com/webdataset/webdataset):

```python
import webdataset
from huggingface_hub import snapshot_download

folder = snapshot_download("{{ repo }}", repo_type="dataset")
shards = webdataset.WebDataset(folder + "/{{ pattern }}", shardshuffle=False).decode("pil")
for sample in shards:
    print(sample["__key__"], sample["jpg"].size, sample["json"]["caption"])
    break
```
{% if matched %}
The pairs alone, with [pandas](https://pandas.pydata.org):

```python
import pandas

pairs = pandas.read_parquet("hf://datasets/{{ repo }}/pairs")
print(pairs[["key", "text", "similarity"]].head())
```
{% else %}
With nothing but Python, a shard at a time:

```python
import json
import tarfile

from huggingface_hub import hf_hub_download

with tarfile.open(hf_hub_download("{{ repo }}", "{{ first }}", repo_type="dataset")) as tar:
    for member in tar:
        if member.name.endswith(".json"):
            print(json.load(tar.extractfile(member))["caption"])
```
{% endif %}
## What is in it

`shards/*.tar` are WebDataset shards. A sample is `KEY.jpg`
{%- if has_text %}, `KEY.txt`, its caption,{% endif %} and
`KEY.json`: the caption, the picture's size and SHA-256, and where it is from.
{%- if matched %} Its `sentences` are character spans of the caption, its `regions` have boxes in pixels
(x right, y down), its `pairs` are one a sentence, and `best_pair` is the best of them. `pairs/*.parquet` has a row
a pair, without pixels.{% endif %} `manifest.json` has the figures, the options and the SHA-256 of every shard;
`skipped/` lists each input that was left out, with the reason.
{% if boxes is not none %}
People marked {{ "{:,}".format(boxes) }} regions{% if left_out %} ({{ "{:,}".format(left_out) }} more were empty or
outside of their pictures){% endif %}: `boxes` of a record is JSON, a list of objects with `box`, `label` and
`sentence`.
{%- if matched %} They are candidates of kind `given`, with these as their `label` and `sentence`.{% endif %}
{% endif %}{% if columns %}
Columns of the input that were kept, in `source.extra` of a record
{%- if matched %} and as `extra_...` in `pairs/`{% endif %}:

{{ columns }}
{% endif %}{% if skipped %}
{{ skipped }}
{% endif %}
## How it was made

`glitbuild {{ stage }}` with these options:

{{ options }}

{{ versions }}
{% if sources %}
## Sources and licences

{{ sources }}
{% endif %}{% if origins %}
What the pictures came from, as their records say:

{{ origins }}
{% endif %}{% if splits %}
The parts of these datasets that the samples are from; in this dataset they are all one split:

{{ splits }}
{% endif %}"""
