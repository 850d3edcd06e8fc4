"""What a record must fulfil beyond its JSON Schema: spans and boxes within bounds, indices that exist."""

from collections.abc import Iterator, Sequence

from glitbuild.records import Box, Matched, Sample, Span


def inconsistencies(sample: Sample) -> Iterator[str]:
    """Yield what is wrong with a record that fits its schema; nothing where all is well."""
    matched, width, height = sample.matched, sample.image.width, sample.image.height
    for index, given in enumerate(sample.boxes or ()):
        if not _is_within(given.box, width, height):
            yield f"given box {index} {list(given.box)} is empty or outside the image ({width} x {height})"
    if matched is None:
        return
    yield from _span_problems(sample.caption, matched.sentences)
    yield from _region_problems(matched, width, height)
    regions = [(each.box, each.label, each.sentence) for each in matched.regions if each.kind == "given"]
    if regions != [(each.box, each.label, each.sentence) for each in sample.boxes or ()]:
        yield "its given regions are not its boxes"
    if any((region.sentence is None) != (sample.boxes is None) for region in matched.regions):
        yield "all regions have a sentence where there are boxes, else none has"
    yield from _pair_problems(matched)


def _span_problems(caption: str, spans: Sequence[Span]) -> Iterator[str]:
    previous_end = 0
    for index, (start, end) in enumerate(spans):
        if not previous_end <= start < end <= len(caption):
            yield f"sentence {index} [{start}, {end}] is empty, out of order or outside the caption"
        elif caption[start:end] != caption[start:end].strip():
            yield f"sentence {index} [{start}, {end}] begins or ends with white space"
        elif caption[previous_end:start].strip():
            yield f"text between the sentences {index - 1} and {index} belongs to none"
        previous_end = max(previous_end, end)
    if caption[previous_end:].strip():
        yield "text behind the last sentence belongs to none"


def _region_problems(matched: Matched, width: int, height: int) -> Iterator[str]:
    for index, region in enumerate(matched.regions):
        if not _is_within(region.box, width, height):
            yield f"region {index} {list(region.box)} is empty or outside the image ({width} x {height})"
        if region.kind in ("quadrant", "center") and (region.label or region.score):
            yield f"region {index} is a default region with a label or a score"
        if region.kind == "given" and region.score != 1:
            yield f"region {index} is a given one with the score {region.score}"
        if region.kind != "given" and region.sentence:
            yield f"region {index} has a sentence and isn't a given one"
    kinds = [region.kind for region in matched.regions]
    defaults = (kinds.count("quadrant"), kinds.count("center"))
    if defaults != (4, 1) and not (kinds and defaults == (0, 0)):  # left out with --no-default-regions
        yield "the five default regions are not all there once"


def _is_within(box: Box, width: int, height: int) -> bool:
    x1, y1, x2, y2 = box
    return 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


def _pair_problems(matched: Matched) -> Iterator[str]:
    if [pair.sentence for pair in matched.pairs] != list(range(len(matched.sentences))):
        yield "pairs are not one a sentence, in order"
    for index, pair in enumerate(matched.pairs):
        if pair.region >= len(matched.regions):
            yield f"pair {index} names region {pair.region} of {len(matched.regions)}"
    similarities = [pair.similarity for pair in matched.pairs]
    if matched.best_pair >= len(similarities):
        yield f"best_pair {matched.best_pair} of {len(similarities)} pairs"
    elif similarities.index(max(similarities)) != matched.best_pair:
        yield f"best_pair {matched.best_pair} is not the first pair with the highest similarity"
