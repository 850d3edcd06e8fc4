"""Samples for tests: hypothesis strategies, and small real JPEGs."""

import hashlib
import io
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from glitbuild.flism.regions import default_regions
from glitbuild.records import Captioned, ImageInfo, Matched, Pair, Region, Sample, Source

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Draw a sample before matching."""
    size = st.integers(8, 2000)
    return Sample(
        key=f"{draw(st.integers(0, 10**9 - 1)):09d}",
        caption=draw(texts.filter(str.strip)).strip() or "a",
        image=ImageInfo(
            draw(size), draw(size), "0" * 64, draw(st.sampled_from(["jpeg", "png"])), draw(st.booleans())
        ),
        source=Source(*(draw(texts) for _ in range(6))),
        captioned=draw(st.none() | st.just(Captioned("a-model", "0" * 64, "2026-05-31T12:00:00Z"))),
    )


@st.composite
def matched_samples(draw: st.DrawFn) -> Sample:
    """Draw a sample as ``match`` leaves it."""
    words = draw(st.lists(st.text("abcdé ", min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=6))
    sentences, spans, position = [f"{word.strip()}." for word in words], [], 0
    for sentence in sentences:
        spans.append((position, position + len(sentence)))
        position += len(sentence) + 1
    width, height = draw(st.integers(8, 900)), draw(st.integers(8, 900))
    regions = list(default_regions(width, height))
    for _ in range(draw(st.integers(0, 4))):
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        score = draw(st.integers(0, 10**5)) / 10**5
        regions.append(Region((float(x), float(y), float(width), float(height)), "object", draw(texts), score))
    similarities = [draw(st.integers(-(10**5), 10**5)) / 10**5 for _ in spans]
    pairs = [Pair(i, draw(st.integers(0, len(regions) - 1)), value) for i, value in enumerate(similarities)]
    best = similarities.index(max(similarities))
    sample = draw(samples())
    image = ImageInfo(width, height, sample.image.sha256, "jpeg", False)
    matched = Matched(tuple(spans), tuple(regions), tuple(pairs), best)
    return Sample(sample.key, " ".join(sentences), image, sample.source, matched, sample.captioned)


def jpeg(width: int = 32, height: int = 24, seed: int = 0) -> bytes:
    """Return a small JPEG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def sample_with_jpeg(
    number: int, caption: str = "A dog sits. A red ball lies on the left."
) -> tuple[Sample, bytes]:
    """Return a sample before matching, with the JPEG its record describes."""
    data = jpeg(seed=number)
    info = ImageInfo(32, 24, hashlib.sha256(data).hexdigest(), "jpeg", False)
    return Sample(f"{number:09d}", caption, info, Source("test", str(number))), data


def matched_sample_with_jpeg(number: int) -> tuple[Sample, bytes]:
    """Return a sample as ``match`` leaves it, with the JPEG its record describes; its best pair is the second."""
    sample, data = sample_with_jpeg(number)
    end = sample.caption.index(".") + 1
    spans = ((0, end), (end + 1, len(sample.caption)))
    regions = (*default_regions(32, 24), Region((1.0, 2.0, 30.5, 20.0), "object", "dog", 0.75))
    pairs = (Pair(0, number % 5, 0.125), Pair(1, 5, 0.25 + number / 1000))
    return replace(sample, matched=Matched(spans, regions, pairs, 1)), data
