import pytest

from glitbuild.caption.repetition import repeated_part

CAPTION = (
    "The picture shows a kitchen with white cupboards and a window on the left. On the table stand a red apple, a "
    "green apple and a yellow apple, beside a very, very large pumpkin. A sign says NO NO NO. A white chair stands "
    "in front of the table, a white chair stands behind it, and a white chair stands at its left end."
)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("The dog sits on a mat. " * 3, "the dog sits on a mat"),
        (
            "The dog sits. A cat lies on a mat. A tree. A cat lies on a mat! It rains.\nA cat lies on a mat",
            "a cat lies",
        ),
        ("The sky is blue and " + "very " * 17, "very"),
        ("A shelf with books, " + "a red book, a blue book, " * 4, "a red book"),
        ("A wall with the text " + "one two three four five six seven eight nine ten " * 5, "one two three"),
        ("A" + " a" * 5000, "a"),
        ("狗坐在垫子上 一 二 三。" * 3, "狗坐在垫子上"),
    ],
)
def test_a_loop_is_found(text: str, part: str) -> None:
    assert part in repeated_part(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        CAPTION,
        "A red ball. " * 3,  # three words: it may be a list
        "The dog sits on a mat. " * 2,
        "Books stand on " + "a long shelf, " * 4 + "and below.",
        "The sky is blue and " + "very " * 15 + "high.",
    ],
)
def test_what_comes_again_in_a_caption_is_no_loop(text: str) -> None:
    assert repeated_part(text) == ""
