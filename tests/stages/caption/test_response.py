import json
from typing import Any

import pytest

from glitbuild.stages.caption.response import Answer, UnreadableError, read_answer

CAPTION = "A dog sits on a mat."


def body(content: Any = CAPTION, finish_reason: Any = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return json.dumps({"id": "1", "choices": [choice]} | more).encode()


def choices(value: Any) -> bytes:
    return json.dumps({"id": "1", "choices": value}).encode()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (CAPTION, CAPTION),
        (None, ""),
        ([], ""),
        ([{"type": "text", "text": CAPTION}], CAPTION),
        ([{"type": "output_text", "text": CAPTION, "annotations": []}], CAPTION),
        ([{"text": CAPTION}], CAPTION),
        ([CAPTION], CAPTION),
        ({"type": "text", "text": CAPTION}, CAPTION),
        ({"text": CAPTION}, CAPTION),
        ([{"type": "text", "text": "A dog "}, {"type": "text", "text": "sits."}], "A dog sits."),
        ([{"type": "text", "text": "A dog."}, {"type": "text", "text": "A cat."}], "A dog. A cat."),
        ([{"type": "text", "text": "A dog"}, {"type": "text", "text": ", a cat."}], "A dog, a cat."),
        ([{"type": "text", "text": "一只狗"}, {"type": "text", "text": "坐着。"}], "一只狗坐着。"),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
                {"type": "text", "text": CAPTION},
            ],
            CAPTION,
        ),
        ([{"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": CAPTION}], CAPTION),
        ([{"type": "reasoning", "text": "Hm."}, {"type": "text", "text": CAPTION}], CAPTION),
    ],
)
def test_a_content_is_read_whatever_its_form(content: Any, text: str) -> None:
    assert read_answer(body(content), 9).text == text


def test_what_the_api_says_beside_the_text_is_read() -> None:
    assert read_answer(body(finish_reason="length"), 9) == Answer(CAPTION, "length")
    assert read_answer(body(finish_reason=None), 9) == Answer(CAPTION, "")
    assert read_answer(body(finish_reason={"type": "length", "length": 9}), 9) == Answer(CAPTION, "length")
    assert read_answer(body([{"type": "refusal", "refusal": "No."}]), 9).refusal == "No."
    message: dict[str, Any] = {"content": None, "refusal": "No.", "reasoning_content": "It is a dog."}
    assert read_answer(choices([{"message": message}]), 9) == Answer("", "", "No.", False, "reasoning")
    message = {"content": "", "tool_calls": [{"id": "1"}]}
    assert read_answer(choices([{"message": message}]), 9).beside == "a tool call"
    assert read_answer(choices([{"text": CAPTION, "finish_reason": "stop"}]), 9) == Answer(CAPTION, "stop")


@pytest.mark.parametrize(
    ("usage", "at_limit"),
    [
        ({"completion_tokens": 9}, True),
        ({"completion_tokens": 8}, False),
        ({"completion_tokens": float("nan")}, False),
        ({"completion_tokens": float("inf")}, False),
        ({"completion_tokens": "9"}, False),
        ({"completion_tokens": None}, False),
        ({"completion_tokens": True}, False),
        ({}, False),
        (None, False),
        (9, False),
        ([9], False),
    ],
)
def test_the_tokens_used_are_compared_with_those_allowed(usage: Any, at_limit: bool) -> None:
    assert read_answer(body(usage=usage), 9).at_limit is at_limit


@pytest.mark.parametrize(
    "content", [42, 4.2, float("nan"), True, [42], [None], {"text": 42}, {"a": "b"}, [[CAPTION]]]
)
def test_a_content_that_is_no_text_is_unreadable(content: Any) -> None:
    with pytest.raises(UnreadableError, match="content"):
        read_answer(body(content), 9)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        7,
        "text",
        [None],
        [7],
        ["text"],
        [{}],
        [{"message": None}],
        [{"message": "text"}],
        [{"message": [7]}],
    ],
)
def test_choices_without_a_message_are_unreadable(value: Any) -> None:
    with pytest.raises(UnreadableError, match="has no"):
        read_answer(choices(value), 9)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>Welcome</html>",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b'{"error": {"message": "no such thing"}}',
        b"\xff\xfe\xfa",
        b"[" * 100_000,
        b'{"choices": [' + b"9" * 10_000 + b"]}",
        b"data: {}\n\n",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_chat_completion_is_said(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a chat completion") as error:
        read_answer(data, 9)
    assert len(str(error.value)) < 400
