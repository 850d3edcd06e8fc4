# ruff: noqa: RUF001 - Chinese marks
import pytest

from glitbuild.stages.caption.answers import repeated_part

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
        ("一只狗坐在垫子上，" * 40, "一只狗坐在垫子上"),
        ("房间里有一张桌子。" + "一只狗坐在垫子上" * 8, "狗坐在垫子上"),
        (
            "画面很亮。一只狗坐在垫子上。旁边有树。一只狗坐在垫子上。远处有山。一只狗坐在垫子上。",
            "一只狗坐在垫子上",
        ),
        ("的" * 300, "的"),
        ("犬がマットの上に座っています" * 6, "犬"),
        ("สุนัขนั่งบนเสื่อ" * 8, "งบนเส"),
        ("!" * 512, "!"),
        ("! " * 200, "!"),
        ("A dog sits on a mat " + "a" * 500, "a"),
        ("A dog laughs: " + "ha" * 200, "ha"),
        ("A dog. " + "\U0001f436" * 100, "\U0001f436"),
        ("A dog. " + "\U0001f436 \U0001f431 " * 60, "\U0001f436"),
        ("A row of cars. " + "".join(f"{n}. a red car\n" for n in range(12)), "a red car"),
        ("A good start with a dog on a mat, then the the " + "the " * 40, "the"),
        ("A dog, a cat" + ", a red chair and a blue table" * 12, "a red chair"),
        ("<pad>" * 100, "pad"),
        ("_" * 400, "_"),
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
        "A comic with HA HA HA HA HA HA HA HA above it. " + "哈" * 12,
        "1. a red car\n2. a blue car\n3. a red car\n4. a green car\n5. a red car",
        "A form: Name ______________________________ Date ______________________________",
        "A table:\n| --- | --- | --- |\n| 1 | 2 | 3 |\n| --- | --- | --- |",
        "墙上写着红色的字，地上有红色的桌子和红色的椅子，还有一只红色的猫。",
    ],
)
def test_what_comes_again_in_a_caption_is_no_loop(text: str) -> None:
    assert repeated_part(text) == ""
