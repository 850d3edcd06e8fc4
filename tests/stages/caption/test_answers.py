# ruff: noqa: RUF001 - other languages' letters and marks
"""What becomes of an answer: the caption in it, or the reason why there is none."""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from glitbuild.records import Rejected, SkipReason
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard
from glitbuild.stages.caption.answers import check_answer
from glitbuild.stages.caption.response import Answer
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions

CAPTION = "A brown dog sits on a red mat. Behind it, a window lets in daylight."


def rejected(answer: Answer) -> Rejected:
    with pytest.raises(Rejected) as error:
        check_answer(answer)
    detail = error.value.detail
    assert detail and "\n" not in detail and len(detail) < 350
    return error.value


def test_a_caption_is_all_of_the_answer() -> None:
    assert check_answer(Answer(f"\n {CAPTION}\n\n")) == CAPTION


WRAPPED = [
    # reasoning
    "<think>The user wants a description. It shows a dog.</think>\n\n{}",
    "So, the user wants a factual paragraph. Got it.\n</think>\n\n{}",
    "<think></think>{}",
    "<think>\n\n</think>\n\n{}",
    "<thinking>It is a dog.</thinking>{}",
    "<reasoning>It is a dog.</reasoning>\n<answer>{}</answer>",
    "<THOUGHT>It is a dog.</THOUGHT>\n{}",
    "<think>First I close with <think> and </think>\n more thoughts</think>{}",
    "<seed:think>It is a dog.</seed:think>{}",
    "[THINK]It is a dog.[/THINK]{}",
    "\u25c1think\u25b7It is a dog.\u25c1/think\u25b7{}",
    "<|begin_of_thought|>Hm.<|end_of_thought|><|begin_of_solution|>{}<|end_of_solution|>",
    "<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>{}<|END_RESPONSE|>",
    "<unused94>thought\nHm.<unused95>{}",
    "<|channel>thought\nHm.<channel|>{}",
    "<|reasoning|>It is a dog.<|/reasoning|>{}",
    '<details type="reasoning"><summary>Thoughts</summary>Hm.</details>\n{}',
    "<think/>{}",
    "### Reasoning\nIt is a dog.\n\n### Caption\n{}",
    "<|channel|>analysis<|message|>We describe it.<|end|><|start|>assistant<|channel|>final<|message|>{}",
    "<|channel|>analysis<|message|>We describe it.<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>",
    "<|start|>assistant<|channel|>final<|message|>{}",
    "analysisThe user wants a caption. We describe it.assistantfinal{}",
    "Reasoning: it has four legs and barks.\n\nCaption: {}",
    "**Thinking process:**\n1. It is a dog.\n2. It sits.\n\n**Final Answer:**\n{}",
    "<analysis>\nIt is a dog.\n</analysis>\n\n<caption>{}</caption>",
    "{}\n<think>Is that enough?</think>",
    # tokens of templates
    "{}<|im_end|>",
    "{}</s>",
    "{}</s></s></s>",
    "{}<end_of_turn>\n<eos>",
    "{}<|endoftext|>",
    "{}<|eot_id|>",
    "{} <|end|>",
    "{}<|end_of_text|>",
    "{}<\uff5cend\u2581of\u2581sentence\uff5c>",
    "{}<pad><pad><pad>",
    "{}<unk>",
    "<s> {}",
    "<s>{}</s>",
    "<bos>{}",
    "[INST] Describe the picture. [/INST] {}",
    "<image>\n{}",
    "<|im_start|>assistant\n{}<|im_end|>\n<|im_start|>user\nWhat else?",
    "<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
    "<start_of_turn>model\n{}<end_of_turn>",
    "<|assistant|>\n{}",
    "<|begin_of_box|>{}<|end_of_box|>",
    "USER: <image>\nDescribe it. ASSISTANT: {}",
    "ASSISTANT: {}",
    "{}<0x0A>",
    "{}<end_of_utterance>",
    "{}</s><s>[INST] And now? [/INST]</s>",
    # preambles, headings, closings
    "Sure! Here is a detailed description of the image:\n\n{}",
    "Sure, here's a caption for the image: {}",
    "Certainly! Here's a factual paragraph describing the image:\n\n{}",
    "Here is a description of the image.\n\n{}",
    "Here's what I see in the image:\n{}",
    "Of course! Below is the description you asked for:\n\n---\n\n{}\n\n---",
    "The following is a detailed description of the image:\n{}",
    "I'd be happy to describe the image for you:\n\n{}",
    "Okay, here is the description:\n\n{}",
    "Sure! {}",
    "Great question! Here is the caption: {}",
    "Sure, I can help with that! Here's a description of the image:\n\n{}",
    "The image description is as follows:\n\n{}",
    "Based on the image provided, here is a detailed description:\n\n{}",
    "\u200b{}\ufeff",
    "{}\n\n###",
    "{}\n\n(Word count: 14)",
    "&quot;{}&quot;",
    "<final>{}</final>",
    'caption = "{}"',
    "{{'caption': '{}'}}",
    '\u201c{}"',
    "**Image Description:**\n\n{}",
    "**Image Description**\n\n{}",
    "# Caption\n\n{}",
    "## Detailed Description\n{}",
    "### Image Description:\n{}",
    "Caption: {}",
    "**Caption:** {}",
    "Description: {}",
    "Image description: {}",
    "Answer: {}",
    "Alt text: {}",
    "Sure! Here is the caption:\n\n**Caption:** {}",
    "{}\n\nLet me know if you need anything else!",
    "{} I hope this helps!",
    "{}\n\nWould you like me to describe anything in more detail?",
    "当然！以下是对这张图片的详细描述：\n\n{}",
    "以下是图片的描述：{}",
    "描述：{}",
    "はい、以下は画像の説明です：\n{}",
    "다음은 이미지에 대한 설명입니다:\n{}",
    "Voici une description détaillée de l\u2019image :\n\n{}",
    "Aquí tienes una descripción de la imagen:\n\n{}",
    "Hier ist eine Beschreibung des Bildes:\n\n{}",
    "Ecco una descrizione dell'immagine:\n{}",
    "Aqui está uma descrição da imagem:\n{}",
    "Вот описание изображения:\n{}",
    # code blocks and elements
    '```json\n{{"caption": "{}"}}\n```',
    '```json\n{{\n  "description": "{}",\n  "confidence": 0.9\n}}\n```',
    '{{"caption": "{}"}}',
    '{{"result": {{"caption": "{}"}}}}',
    '[{{"caption": "{}"}}]',
    '{{"response": "{}"}}',
    "```\n{}\n```",
    "```text\n{}\n```",
    "```markdown\n# Caption\n{}\n```",
    "```yaml\ncaption: {}\n```",
    "```xml\n<caption>{}</caption>\n```",
    'Here is the caption:\n\n```json\n{{"caption": "{}"}}\n```',
    '```json\n{{"caption": "{}"}}',
    "<answer>{}</answer>",
    "<caption>{}</caption>",
    "<p>{}</p>",
    "\\boxed{{{}}}",
    # marks around all of it
    '"{}"',
    "\u201c{}\u201d",
    "'{}'",
    "\u00ab{}\u00bb",
    "「{}」",
    "**{}**",
    "*{}*",
    'Caption: "{}"',
    '<think>Hm.</think>\n```json\n{{"caption": "{}<|im_end|>"}}\n```<|im_end|>',
]


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_what_is_around_a_caption_is_taken_off(wrapper: str) -> None:
    answer = wrapper.format(CAPTION)
    assert CAPTION in answer and answer != CAPTION
    assert check_answer(Answer(answer)) == CAPTION


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        ("A sign says &quot;Open&quot;.", 'A sign says "Open".'),
        ("A dog &amp; a cat sit on a mat &#8212; asleep.", "A dog & a cat sit on a mat \u2014 asleep."),
        ("A sign says &amp;quot;Open&amp;quot;.", 'A sign says "Open".'),
        ("A dog.<0x0A>A cat<0xE2><0x80><0x99>s bowl.", "A dog.\nA cat\u2019s bowl."),
        ("A dog sits.<br>A cat sits.", "A dog sits.\nA cat sits."),
        (
            '{"caption": "A sign says \\"Open\\".\\nA dog sits below it."}',
            'A sign says "Open".\nA dog sits below it.',
        ),
    ],
)
def test_escapes_are_written_out(answer: str, caption: str) -> None:
    assert check_answer(Answer(answer)) == caption


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("", "stop", "It shows a person."), SkipReason.CAPTION_REFUSED),
        (Answer("I\u2019m sorry, I cannot describe this image."), SkipReason.CAPTION_REFUSED),
        (Answer("<think>A person.</think>I can't identify people."), SkipReason.CAPTION_REFUSED),
        (Answer('{"caption": "I cannot see any image."}'), SkipReason.CAPTION_REFUSED),
        (Answer("\u201cI'm sorry, but I can't help with that.\u201d"), SkipReason.CAPTION_REFUSED),
        (Answer(""), SkipReason.CAPTION_EMPTY),
        (Answer(" \n\u200b"), SkipReason.CAPTION_EMPTY),
        (Answer("", "length"), SkipReason.CAPTION_EMPTY),
        (Answer("", beside="reasoning"), SkipReason.CAPTION_EMPTY),
        (Answer("..."), SkipReason.CAPTION_EMPTY),
        (Answer("N/A"), SkipReason.CAPTION_EMPTY),
        (Answer("[image]"), SkipReason.CAPTION_EMPTY),
        (Answer("<|im_end|>"), SkipReason.CAPTION_EMPTY),
        (Answer("<think>The picture shows a dog.</think>"), SkipReason.CAPTION_EMPTY),
        (Answer("<think>The picture shows a dog."), SkipReason.CAPTION_EMPTY),
        (Answer("<think>The picture shows a dog, and", "length"), SkipReason.CAPTION_CUT),
        (Answer("<|channel|>analysis<|message|>We need to describe a dog."), SkipReason.CAPTION_EMPTY),
        (Answer("analysisWe need to describe a dog."), SkipReason.CAPTION_EMPTY),
        (Answer("nul\0"), SkipReason.CAPTION_NUL),
        (Answer("A dog.<0x00>"), SkipReason.CAPTION_NUL),
        (Answer("A dog sits.\ud83d"), SkipReason.CAPTION_ENCODING),
        (Answer("A sign \ufffd\ufffd reads nothing."), SkipReason.CAPTION_ENCODING),
        (Answer("A caf<0xC3> at night."), SkipReason.CAPTION_ENCODING),
        (Answer("A dog sits on a mat. " * 3), SkipReason.CAPTION_REPEATED),
        (Answer("A dog sits on a mat. " * 30, "length"), SkipReason.CAPTION_REPEATED),
        (Answer("<pad>" * 100), SkipReason.CAPTION_REPEATED),
        (Answer("!" * 512), SkipReason.CAPTION_REPEATED),
        (Answer("A brown dog sits on a", "length"), SkipReason.CAPTION_CUT),
        (Answer('```json\n{"caption": "A brown dog sits', "length"), SkipReason.CAPTION_CUT),
        (Answer('```json\n{"caption": "A brown dog'), SkipReason.CAPTION_MALFORMED),
        (Answer('```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]\n```'), SkipReason.CAPTION_MALFORMED),
        (Answer('{"detailed_caption": "A dog sits.", "caption": "Dog."}'), SkipReason.CAPTION_MALFORMED),
        (Answer('{"error": "no image"}'), SkipReason.CAPTION_MALFORMED),
        (
            Answer("```python\nfrom PIL import Image\nimage = Image.open('a.jpg')\n```"),
            SkipReason.CAPTION_MALFORMED,
        ),
        (Answer("<!DOCTYPE html><html><body>Bad gateway</body></html>"), SkipReason.CAPTION_MALFORMED),
        (Answer('<tool_call>\n{"name": "describe"}\n</tool_call>'), SkipReason.CAPTION_MALFORMED),
        (Answer("A dog <|vision_start|> sits on a mat."), SkipReason.CAPTION_MALFORMED),
        (Answer("A <unk> sits on a mat."), SkipReason.CAPTION_MALFORMED),
        (Answer("A dog<box>(1,2),(3,4)</box> sits."), SkipReason.CAPTION_MALFORMED),
        (Answer("A\u0120dog\u0120sits\u0120on\u0120a\u0120mat."), SkipReason.CAPTION_MALFORMED),
        (Answer("Okay, let me look at the picture. It shows a dog."), SkipReason.CAPTION_MALFORMED),
        (Answer("The user wants a caption. I see a dog."), SkipReason.CAPTION_MALFORMED),
        (Answer("好的，用户想要一个描述。图片里有一只狗。"), SkipReason.CAPTION_MALFORMED),
    ],
)
def test_other_answers_are_rejected(answer: Answer, reason: SkipReason) -> None:
    assert rejected(answer).reason == reason


FINISHED = [
    "stop",
    "STOP",
    "eos",
    "eos_token",
    "end_turn",
    "stop_sequence",
    "COMPLETE",
    "FINISH_REASON_STOP",
    "",
    "null",
]
CUT = ["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "incomplete", "length "]
FILTERED = ["content_filter", "content-filter", "SAFETY", "refusal", "RECITATION", "sensitive"]
BROKEN = ["error", "abort", "tool_calls", "function_call", "insufficient_system_resource", "7", "OTHER"]


@pytest.mark.parametrize(
    ("finish_reason", "reason"),
    [
        *((word, None) for word in FINISHED),
        *((word, SkipReason.CAPTION_CUT) for word in CUT),
        *((word, SkipReason.CAPTION_REFUSED) for word in FILTERED),
        *((word, SkipReason.CAPTION_FAILED) for word in BROKEN),
    ],
)
def test_why_an_answer_ended_decides(finish_reason: str, reason: SkipReason | None) -> None:
    answer = Answer(CAPTION, finish_reason)
    if reason is None:
        assert check_answer(answer) == CAPTION
    else:
        assert rejected(answer).reason == reason


@pytest.mark.parametrize("answer", [Answer("A dog sits on a", ""), Answer("A dog sits on a", at_limit=True)])
def test_where_the_server_does_not_say_a_whole_sentence_does(answer: Answer) -> None:
    assert rejected(answer).reason == SkipReason.CAPTION_CUT
    for end in (" mat.", ' mat that says "sit."', " mat (red).", " mat!**"):
        whole = answer.text + end
        assert check_answer(Answer(whole, answer.finish_reason, at_limit=answer.at_limit)) == whole
    assert check_answer(Answer("A dog sits on a", "stop")) == "A dog sits on a"


KEPT = [
    'A sign on a door reads "Sorry, we are closed." A dog sits before it.',
    'A screen says "no image". A man looks at it.',
    "A monitor shows code with an <html> tag and a <think> tag beside `</s>`.",
    "A monitor shows HTML: the lines begin with <html>, <body> and <img>.",
    "A monitor shows code: `for i in range(10): print(i)` in green letters.",
    "A laptop shows code:\n```python\nprint(1)\n```\nIts keyboard is black.",
    'A terminal shows "<|im_end|>" in red.',
    "A T-shirt with the word THINK on it hangs on a line.",
    "People who think hard sit around a table.",
    "A kitchen with three things:\n\n1. a red pot\n2. a blue pan\n3. a green cup",
    "- A red car\n- A blue car\n- A green car",
    "A cake with a smile \U0001f600 on it. \U0001f382",
    '"OPEN" is written on the left door and on the right one, in red, "CLOSED"',
    "\u201cOPEN\u201d is on the left, on the right is \u201cCLOSED\u201d",
    "A comic with a row of HA HA HA HA HA HA above a laughing man.",
    "A scream in a comic is written AAAAAAAAAAAAAAARGH!!!!!!!!",
    "A form with a line for the name: ____________________________________________________",
    "A shelf holds books, books, books and more books.",
    "A page with the title Caption and a caption: below it, a dog.",
    "The caption below the photo reads: A dog at home.",
    "The description on the sign: no dogs.",
    "Here is a street in Paris: cafés stand along it.",
    "This is a photo of a sign that reads: STOP.",
    "A white board says Q&A and R&D; below, a table stands.",
    "Answers to a test are written on a sheet. The user interface of a phone lies beside it.",
    "User manuals stand on a shelf.",
    "Let me In is the title of a film on a poster.",
    "A book that ends with the words: If you need me, call.\u201d",
    "[A red frame] surrounds a picture.",
    "{curly} braces are painted on a wall.",
    "*Starry* and **bold** letters are on a poster.",
    "A keyboard with keys Q, W, E, R, T, Y, U, I, O, P, A, S, D, F, G, H, J, K, L.",
    "The number 1000000000000000000000000000000000000 is written on a board.",
    "一只猫坐在椅子上，旁边有一只狗。墙上写着“哈哈哈哈哈哈”。",
    "Ein Hund sitzt auf einer Matte. Dahinter ist ein Fenster.",
    "A dog's owner's hat",
    "OK is written on a green button.",
    "None of the chairs is taken.",
    "\U0001f436",
]


@pytest.mark.parametrize("text", KEPT)
def test_a_caption_that_has_something_of_them_is_kept_as_it_is(text: str) -> None:
    assert check_answer(Answer(text)) == text


@pytest.mark.slow
def test_no_human_caption_is_changed_or_skipped(assets: Path) -> None:
    files = [assets / "captions" / "docci_1000.jsonl", assets / "captions" / "iiw_200.jsonl"]
    captions = [json.loads(line)["caption"] for file in files for line in file.open(encoding="utf-8")]
    assert len(captions) == 1200
    assert [check_answer(Answer(caption)) for caption in captions] == [caption.strip() for caption in captions]


def test_no_caption_of_a_scene_is_changed_or_skipped(tmp_path: Path) -> None:
    run_scenes(ScenesOptions(count=30, out=str(tmp_path)))
    store, manifest = open_dataset(str(tmp_path))
    shards = [read_shard(store, entry.name, entry.sha256) for entry in manifest.shards]
    captions = [sample.caption for shard in shards for sample, _ in shard]
    assert len(captions) == 30
    assert [check_answer(Answer(caption)) for caption in captions] == captions


@pytest.mark.parametrize(
    "text",
    [
        "word " * 40_000,
        "<think>" * 20_000,
        "<think></think>" * 12_000,
        "```" + " " * 180_000,
        "{" * 180_000,
        "[" * 180_000,
        '"' * 180_000,
        "\u201c" * 180_000,
        "<" * 180_000,
        "A dog. " + "</s>" * 40_000,
        "A dog. " + "<|" * 80_000,
        "I'm sorry " * 18_000,
        "\u7684\u662f" * 90_000,
        "a" * 180_000,
        "&amp;" * 30_000,
        "!<|im_end|>" * 16_000,
        "<0x0A>" * 30_000,
        "sure " * 30_000,
        "\n" + " \n" * 80_000 + "A",
        "A dog sits on a mat. " * 100_000,
    ],
    ids=lambda text: text[:12],
)
def test_huge_answers_take_no_time(text: str) -> None:
    start = time.process_time()
    with suppress(Rejected):
        check_answer(Answer(text))
    assert time.process_time() - start < 5
