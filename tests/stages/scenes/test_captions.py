"""What captions say: true, in spans that a splitter finds, in each split's own phrasings."""

import re
from typing import Any

import pytest

from glitbuild.flism.sentences import SentenceSplitter
from glitbuild.stages.scenes import grammar
from glitbuild.stages.scenes.captions import place_phrase
from glitbuild.stages.scenes.kinds import KINDS
from glitbuild.stages.scenes.options import SPLITS, phrasings
from glitbuild.stages.scenes.scene import Scene, Thing
from tests.stages.scenes.worlds import world


def holds(fact: str, one: Thing, other: Thing, scene: Scene) -> bool:
    """Judge a relation anew, from the boxes."""
    (x, y), (u, v) = one.centre, other.centre
    things = scene.things
    return {
        "left": x < u,
        "right": x > u,
        "above": y < v,
        "below": y > v,
        "next": one.box[0] >= other.box[2] or one.box[2] <= other.box[0],
        "front": things.index(other) in one.hides and one.depth >= other.depth and other.visible < 1,
        "behind": things.index(one) in other.hides and other.depth >= one.depth and one.visible < 1,
        "wider": one.box[2] - one.box[0] > 1.4 * (other.box[2] - other.box[0]),
    }[fact]


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_spans_are_the_sentences_as_written(split: str) -> None:
    for _, caption, truth in world(split, noise=0.3):
        spans = [sentence["span"] for sentence in truth["sentences"]]
        assert 8 <= len(spans) <= 14
        assert " ".join(caption[start:end] for start, end in spans) == caption
        for start, end in spans:
            assert re.fullmatch(r'["A-Z].*[.!?]"?', caption[start:end])
        assert "{" not in caption and "  " not in caption and ",," not in caption and ",." not in caption


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_the_splitter_finds_the_sentences(split: str) -> None:
    rows = world(split, noise=0.3)
    found = SentenceSplitter().split([caption for _, caption, _ in rows])
    spans = [
        tuple(s["span"]) in set(own) for own, (_, _, t) in zip(found, rows, strict=True) for s in t["sentences"]
    ]
    assert sum(spans) >= 0.995 * len(spans)


@pytest.mark.slow
@pytest.mark.parametrize("split", SPLITS)
def test_captions_are_as_long_as_those_people_write(split: str) -> None:
    lengths = [len(caption.split()) for _, caption, _ in world(split, 300)]
    assert 140 <= sum(lengths) / len(lengths) <= 170


@pytest.mark.parametrize("split", SPLITS)
def test_what_is_said_of_two_things_is_true(split: str) -> None:
    facts = set()
    for scene, caption, truth in world(split):
        for sentence in truth["sentences"]:
            for j in sentence["mentions"]:
                (i,), fact = sentence["objects"], sentence["fact"]
                facts.add(fact)
                assert holds(fact, scene.things[i], scene.things[j], scene), caption
                text, other = caption[slice(*sentence["span"])], f"the {scene.things[j].ref}"
                assert other in text
                if fact != "wider":
                    forms = phrasings(split, grammar.RELATIONS[fact])
                    assert any(form.format(other=other) in text for form in forms), text
    assert facts == {*grammar.RELATIONS, "wider"}


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_sentence_of_a_thing_says_what_and_where_it_is(split: str) -> None:
    for scene, caption, truth in world(split):
        brought_in = set()
        for sentence in truth["sentences"]:
            if sentence["about"] != "object" or sentence["objects"][0] in brought_in:
                continue
            (i,) = sentence["objects"]
            brought_in.add(i)
            thing, text = scene.things[i], caption[slice(*sentence["span"])]
            assert sentence["boxes"] == [list(thing.box)]
            assert thing.look.kind in text and thing.look.colour in text
            patterns = phrasings(split, grammar.PATTERN_WORDS[thing.look.pattern])
            sizes = [*phrasings(split, grammar.SIZE_WORDS[thing.look.size]), thing.look.size]
            assert any(word in text.lower() for word in patterns) and any(word in text.lower() for word in sizes)
            x, y = thing.centre
            where = (int(3 * x / scene.width), int(3 * y / scene.height))
            places = {place_phrase(split, where, number / 20) for number in range(20)}
            assert any(place in text[0].lower() + text[1:] for place in places), text
        assert brought_in == set(range(len(scene.things)))


@pytest.mark.slow
def test_figures_in_captions_are_those_of_the_boxes() -> None:
    seen = set()
    for scene, caption, truth in world("train", 300):
        for sentence in truth["sentences"]:
            fact, text = sentence["fact"], caption[slice(*sentence["span"])]
            if fact not in ("wider", "share", "tilted", "reads", "facing"):
                continue
            seen.add(fact)
            thing = scene.things[sentence["objects"][0]]
            width = thing.box[2] - thing.box[0]
            says: dict[str, Any] = {
                "share": f"{width / scene.width:.2f}",
                "tilted": f"{abs(thing.look.tilt)} degrees",
                "reads": f'"{thing.look.text}',
                "facing": thing.look.facing or "never",
            }
            if fact == "wider":
                other = scene.things[sentence["mentions"][0]]
                says["wider"] = f"{width / (other.box[2] - other.box[0]):.1f} times"
            assert says[fact] in text
    assert len(seen) == 5


def test_the_caption_begins_with_the_whole() -> None:
    for scene, caption, truth in world():
        opening = truth["sentences"][0]
        assert opening["fact"] == "opening" and opening["boxes"] == [[0, 0, scene.width, scene.height]]
        assert grammar.NUMBERS[len(scene.things)] in caption[slice(*opening["span"])]
        nothing = [sentence for sentence in truth["sentences"] if sentence["about"] == "nothing"]
        assert not any(sentence["boxes"] for sentence in nothing)


def test_false_sentences_are_marked_and_say_what_is_not_there() -> None:
    assert all(sentence["true"] for _, _, truth in world() for sentence in truth["sentences"])
    for scene, caption, truth in world("train", 60, noise=1.0):
        (false,) = [sentence for sentence in truth["sentences"] if not sentence["true"]]
        text = caption[slice(*false["span"])]
        there = {thing.look.kind for thing in scene.things}
        assert any(kind in text for kind in KINDS if kind not in there)
        assert not false["boxes"] and not false["objects"]


def test_every_fact_has_phrasings_that_training_does_not_see() -> None:
    lists = [value for name, value in vars(grammar).items() if name in ("FIRST", "WIDER", "NOUN_PHRASES")]
    lists += [grammar.LIGHT, grammar.OPENINGS, grammar.NOTHING, *grammar.TIMES.values()]
    for forms in [*lists, *grammar.RELATIONS.values(), *grammar.SIZE_WORDS.values()]:
        train, val, test = (set(phrasings(split, forms)) for split in SPLITS)
        assert val - train == {forms[-2]} and test - train == {forms[-1]}


def test_hard_cases_of_splitting_occur() -> None:
    text = " ".join(caption for _, caption, _ in world("train", 300))
    for pattern in (r"\d\.\d", r"approx\. ", r'[A-Z]+\."', r"e\.g\. |i\.e\. ", r"Mr\. |St\. "):
        assert re.search(pattern, text), pattern
