import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from glitbuild.stages.evaluate.robustness import SplitCaption, disturb, insert


def caption(*sentences: str, gap: str = " ") -> SplitCaption:
    spans, text = [], ""
    for sentence in sentences:
        text += gap if text else ""
        spans.append((len(text), len(text) + len(sentence)))
        text += sentence
    return SplitCaption(text, tuple(spans))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[SplitCaption], np.ndarray]:
    images = draw(st.lists(st.integers(0, 5), min_size=1, max_size=9))
    # Sentences of different images are different, unless they are "Common.".
    captions = []
    for number, image in enumerate(images):
        own = [f"Image {image}, caption {number}, sentence {place}." for place in range(draw(st.integers(1, 5)))]
        captions.append(
            caption(*own, *["Common."] * draw(st.integers(0, 1)), gap=draw(st.sampled_from([" ", "\n"])))
        )
    return captions, np.array(images)


@settings(deadline=None)
@given(worlds(), st.integers(0, 2**40))
def test_a_sentence_of_another_image_stands_in_the_middle(
    world: tuple[list[SplitCaption], np.ndarray], seed: int
) -> None:
    captions, image_of = world
    found = disturb(captions, image_of, seed)
    assert found == disturb(captions, image_of, seed)
    for number, (whole, text) in enumerate(zip(captions, found, strict=True)):
        others = [i for i, image in enumerate(image_of) if image != image_of[number]]
        if text is None:
            assert not others
            continue
        sentences = whole.sentences()
        middle = len(sentences) // 2
        lent = {sentence for i in others for sentence in captions[i].sentences()} - set(sentences)
        variants = [[*sentences[:middle], false, *sentences[middle:]] for false in lent]
        assert text.split() in [" ".join(parts).split() for parts in variants]


def test_each_caption_of_another_image_lends_as_often_as_the_others() -> None:
    captions = [caption(f"Sentence {number}.") for number in range(6)]
    image_of = np.array([0, 1, 0, 2, 2, 3])
    lent = [disturb(captions, image_of, seed) for seed in range(3000)]
    for number in range(6):
        counts = [sum(f"Sentence {other}." in str(of[number]) for of in lent) for other in range(6)]
        others = [other for other in range(6) if image_of[other] != image_of[number]]
        assert counts[number] == 3000
        share = 3000 / len(others)
        assert all(abs(counts[other] - share) < 0.15 * share for other in others)


def test_it_stands_between_sentences_whatever_is_between_them() -> None:
    assert insert(caption("One.", "Two.", "Three."), "False.") == "One. False. Two. Three."
    assert insert(caption("One.", "Two.", gap="\n\n"), "False.") == "One.\n\nFalse. Two."
    assert insert(caption("One.", "Two.", gap=""), "False.") == "One. False. Two."
    assert insert(caption("One."), "False.") == "False. One."


def test_a_caption_that_has_all_sentences_already_stays_as_it_is() -> None:
    captions = [caption("One.", "Two."), caption("Two."), caption("One.", "Three.")]
    found = disturb(captions, np.arange(3), 0)
    assert found[0] == "One. Three. Two."
    assert disturb(captions[:2], np.arange(2), 0) == [None, "One. Two."]
    assert disturb(captions[:1], np.zeros(1, dtype=int), 0) == [None]
