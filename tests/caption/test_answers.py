import pytest

from glitbuild.caption.answers import Answer, check_answer
from glitbuild.ingest.source import Rejected
from glitbuild.records import SkipReason

CAPTION = "A brown dog sits on a red mat. Behind it, a window lets in daylight."


def test_a_caption_is_all_of_the_answer() -> None:
    assert check_answer(Answer(f"\n {CAPTION}\n\n")) == CAPTION


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("", "stop", "It shows a person."), SkipReason.CAPTION_REFUSED),
        (Answer(CAPTION, "content_filter"), SkipReason.CAPTION_REFUSED),
        (Answer("I'm sorry, but I can't assist with that."), SkipReason.CAPTION_REFUSED),
        (Answer("I\u2019m sorry, I cannot describe this image."), SkipReason.CAPTION_REFUSED),
        (Answer("Sorry. I am unable to see any image."), SkipReason.CAPTION_REFUSED),
        (Answer("  I CANNOT\nidentify people."), SkipReason.CAPTION_REFUSED),
        (Answer("I apologize, but I won't describe that."), SkipReason.CAPTION_REFUSED),
        (Answer("Unfortunately, I'm not able to view it."), SkipReason.CAPTION_REFUSED),
        (Answer("As an AI language model, I have no eyes."), SkipReason.CAPTION_REFUSED),
        (Answer(""), SkipReason.CAPTION_EMPTY),
        (Answer(" \n\u200b"), SkipReason.CAPTION_EMPTY),
        (Answer("", "length"), SkipReason.CAPTION_EMPTY),
        (Answer("nul\0"), SkipReason.CAPTION_NUL),
        (Answer("A dog sits on a mat. " * 3), SkipReason.CAPTION_REPEATED),
        (Answer("A dog sits on a mat. " * 30, "length"), SkipReason.CAPTION_REPEATED),
        (Answer("A brown dog sits on a", "length"), SkipReason.CAPTION_CUT),
    ],
)
def test_other_answers_are_rejected(answer: Answer, reason: SkipReason) -> None:
    with pytest.raises(Rejected) as rejected:
        check_answer(answer)
    assert rejected.value.reason == reason
    assert rejected.value.detail and "\n" not in rejected.value.detail and len(rejected.value.detail) < 300


@pytest.mark.parametrize(
    "text",
    [
        "A sign reads \"I'm sorry, we can't open today.\"",
        "I'm sorry, reads a card that leans on a vase.",
        "Sorry looks the brown dog that sits on the mat.",
        "Ice covers the pond.",
        "Unfortunately placed, a pole divides the picture.",
    ],
)
def test_a_caption_that_only_looks_like_a_refusal_is_kept(text: str) -> None:
    assert check_answer(Answer(text)) == text
