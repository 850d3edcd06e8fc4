"""What the card of a model says to people; the placeholders are Jinja's."""

TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

A CLIP
{%- if trained %} that was fine-tuned with glitbuild on images with long captions: whole pictures and captions,
together with the regions and sentences in them{% endif %}. It reads texts of up to {{ context_length }} tokens.
{% if open_clip %}
## Load it with open_clip

```python
import open_clip
from PIL import Image

model, preprocess = open_clip.create_model_from_pretrained("hf-hub:{{ repo }}")
tokenizer = open_clip.get_tokenizer("hf-hub:{{ repo }}")
image = model.encode_image(preprocess(Image.new("RGB", (640, 480)))[None], normalize=True)
text = model.encode_text(tokenizer(["A grey picture. " * 40]), normalize=True)
print(image @ text.T)
```
{% endif %}{% if hf %}
## Load it with transformers

```python
from PIL import Image
from transformers import AutoProcessor, CLIPModel

model = CLIPModel.from_pretrained("{{ repo }}")
processor = AutoProcessor.from_pretrained("{{ repo }}")
texts = ["A grey picture. " * 40]
image = Image.new("RGB", (640, 480))
inputs = processor(text=texts, images=image, padding=True, truncation=True, return_tensors="pt")
print(model(**inputs).logits_per_image)
```
{% endif %}{% if figures %}
## Figures

In per cent, by `glitbuild eval`.
{% for headline, tables in figures %}
{{ headline }}
{% for one in tables %}
{{ one }}
{% endfor %}{% endfor %}{% endif %}{% if trained %}
## How it was trained

`glitbuild train` with these options:

{{ trained }}
{% endif %}"""
