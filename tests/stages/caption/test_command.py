"""``glitbuild caption`` with the real client, against a real server on this machine."""

import asyncio
import hashlib
import json
import logging
import re
import socket
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import datasets
import pytest

from glitbuild.errors import ConfigError, EndpointError, OptionsChangedError
from glitbuild.records import Sample
from glitbuild.shards.manifest import open_dataset
from glitbuild.shards.reader import read_shard, read_skipped
from glitbuild.shards.validate import validate
from glitbuild.stages.caption.command import run_caption
from glitbuild.stages.caption.endpoint import read_prompt
from glitbuild.stages.caption.options import CaptionOptions
from glitbuild.stages.ingest.command import run_ingest
from glitbuild.stages.ingest.options import IngestOptions
from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from tests.factories import jpeg
from tests.run import tree
from tests.stages.caption.conftest import MakeImages
from tests.stages.caption.standin import Asked, Reply, StandIn, caption_of, describe

pytestmark = pytest.mark.slow


def read(url: str) -> list[tuple[Sample, bytes]]:
    store, manifest = open_dataset(url)
    return [sample for entry in manifest.shards for sample in read_shard(store, entry.name, entry.sha256)]


def reasons(url: str) -> dict[str, str]:
    """Return why each skipped picture was skipped, by its name."""
    store, manifest = open_dataset(url)
    return {skip.source.id: skip.reason for entry in manifest.shards for skip in read_skipped(store, entry.name)}


def number_of(asked: Asked) -> int:
    return next(number for number in range(100) if jpeg(seed=number) == asked.jpeg)


def test_every_picture_is_sent_and_gets_its_answer(images: MakeImages) -> None:
    options = images(5, 2, max_tokens=300, temperature=0.5, seed=7)
    with StandIn() as server:
        result = run_caption(replace(options, endpoint=server.url))
    assert result.manifest.totals["samples"] == 5 and len(result.manifest.shards) == 3
    written, stored = read(options.out), read(options.dir)
    assert [(sample.key, sample.source, data) for sample, data in written] == [
        (sample.key, sample.source, data) for sample, data in stored
    ]
    for sample, data in written:
        assert sample.caption == caption_of(data)
        assert sample.captioned is not None and sample.captioned.model == "a-model"
        assert sample.captioned.prompt_sha256 == read_prompt(None).sha256
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", sample.captioned.time)
    assert {asked.jpeg for asked in server.asked} == {data for _, data in stored}
    for asked in server.asked:
        assert asked.prompt == read_prompt(None).text and asked.body.pop("messages")
        assert asked.body == {"model": "a-model", "max_tokens": 300, "temperature": 0.5, "seed": 7}
    assert list(validate(*open_dataset(options.out))) == []


def test_the_requests_are_as_many_as_asked_for_and_no_more(images: MakeImages) -> None:
    options = images(9, concurrency=4)
    waiting: list[asyncio.Event] = []

    async def answer_four_together(asked: Asked) -> Reply:
        if number_of(asked) < 8:
            waiting.append(asyncio.Event())
            if len(waiting) == 4:
                await asyncio.sleep(0.05)  # a fifth would come now
                for event in waiting:
                    event.set()
                waiting.clear()
            else:
                await waiting[-1].wait()
        return describe(asked)

    with StandIn(answer_four_together) as server:
        run_caption(replace(options, endpoint=server.url))
    assert server.most == 4 and len(server.asked) == 9


def test_the_samples_keep_their_order_whatever_that_of_the_answers(images: MakeImages) -> None:
    options = images(6, concurrency=6)
    answered = [asyncio.Event() for _ in range(7)]
    answered[6].set()

    async def answer_the_last_first(asked: Asked) -> Reply:
        number = number_of(asked)
        await answered[number + 1].wait()
        answered[number].set()
        return describe(asked)

    with StandIn(answer_the_last_first) as server:
        run_caption(replace(options, endpoint=server.url))
    assert [sample.caption for sample, _ in read(options.out)] == [
        caption_of(data) for _, data in read(options.dir)
    ]


PASSING = {
    "429": Reply(status=429, headers={"Retry-After": "0.01"}),
    "503": Reply(status=503, headers={"retry-after-ms": "1"}),
    "500 without a word on when": Reply(status=500),
    "a dropped connection": Reply(drop=True),
    "no answer in time": Reply(stall=True),
}


@pytest.mark.parametrize("reply", PASSING.values(), ids=PASSING)
def test_what_passes_is_tried_again(reply: Reply, images: MakeImages) -> None:
    options = images(3, retries=1, timeout=4.0 if reply.stall else 60.0)
    with StandIn(lambda asked: describe(asked) if asked.before else reply) as server:
        run_caption(replace(options, endpoint=server.url))
    assert [asked.before for asked in server.asked].count(1) == 3
    assert [sample.caption for sample, _ in read(options.out)] == [
        caption_of(data) for _, data in read(options.dir)
    ]


LASTING = {
    "a bad request": Reply("this picture is too wide", status=400),
    "503": Reply(status=503),
    "a dropped connection": Reply(drop=True),
    "no answer in time": Reply(stall=True),
    "a web page": Reply(body="<html>Welcome to the proxy</html>"),
    "an error in a 200": Reply(body='{"error": {"message": "no such thing"}}'),
}


@pytest.mark.parametrize("reply", LASTING.values(), ids=LASTING)
def test_a_picture_that_gets_no_answer_is_skipped_and_the_others_go_on(reply: Reply, images: MakeImages) -> None:
    # On a busy machine the others' answers may take long, too.
    options = images(4, timeout=5.0 if reply.stall else 60.0, concurrency=1)
    with StandIn(lambda asked: reply if number_of(asked) == 2 else describe(asked)) as server:
        result = run_caption(replace(options, endpoint=server.url))
    assert reasons(options.out) == {"002.jpg": "caption_failed"}
    assert result.manifest.totals | {"bytes": 0} == {"samples": 3, "skipped": 1, "bytes": 0}
    assert list(validate(*open_dataset(options.out))) == []


ANSWERS = [
    (Reply(None, refusal="I can't help with that."), "caption_refused"),
    (Reply(None, finish_reason="content_filter"), "caption_refused"),
    (Reply("I'm sorry, but I cannot describe this picture."), "caption_refused"),
    (Reply(None), "caption_empty"),
    (Reply(" \n "), "caption_empty"),
    (Reply("A dog sits on a mat. " * 9, finish_reason="length"), "caption_repeated"),
    (Reply("A dog sits on a mat, and behind it", finish_reason="length"), "caption_cut"),
    (Reply("A dog sits on a mat.\0"), "caption_nul"),
    (Reply("A dog sits on a mat.\ud83d"), "caption_encoding"),
    (Reply(None, refusal="No \ud83d"), "caption_refused"),
]


def test_answers_that_are_no_captions_are_skipped_with_their_reason(images: MakeImages) -> None:
    options = images(len(ANSWERS) + 1)
    with StandIn(
        lambda asked: dict(enumerate(r for r, _ in ANSWERS)).get(number_of(asked), describe(asked))
    ) as server:
        run_caption(replace(options, endpoint=server.url))
    assert reasons(options.out) == {f"{number:03d}.jpg": reason for number, (_, reason) in enumerate(ANSWERS)}
    assert len(server.asked) == len(ANSWERS) + 1  # they are answers, and not asked for again
    assert len(read(options.out)) == 1
    assert list(validate(*open_dataset(options.out))) == []


def completion(content: object, finish_reason: object = "stop", **more: object) -> Reply:
    message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return Reply(body=json.dumps({"choices": [choice]} | more), content_type="application/json")


ODD: list[tuple[Reply, str]] = [
    (completion(42), "caption_failed"),
    (completion({"odd": 1}), "caption_failed"),
    (completion(["A dog sits on a red mat."]), ""),
    (completion([{"type": "text", "text": "A dog sits on a blue mat."}]), ""),
    (completion("A dog sits on a mat.", choices=None), "caption_failed"),
    (completion("A dog sits on a mat.", choices=[]), "caption_failed"),
    (completion("A dog sits on a mat.", choices=[{"message": None}]), "caption_failed"),
    (completion("A dog sits on a mat.", choices="no"), "caption_failed"),
    (completion("", choices=[{"text": "A dog sits on a green mat.", "finish_reason": "stop"}]), ""),
    (completion("A dog sits on a mat.", "error"), "caption_failed"),
    (completion("A dog sits on a mat.", "max_tokens"), "caption_cut"),
    (completion("A dog sits on a grey mat.", None), ""),
    (completion("A dog sits on a white mat.", usage={"completion_tokens": float("nan")}), ""),
    (completion("A dog sits on a black mat.", usage=[], created="yesterday", model=7, id=None), ""),
    (completion("A dog " * 2_000_000), "caption_too_long"),
    (completion("\ud83d A dog."), "caption_encoding"),
    (completion("A dog.\0"), "caption_nul"),
    (completion("```python\nprint(1)\n```"), "caption_malformed"),
    (Reply(body="<html>Welcome</html>"), "caption_failed"),
    (Reply(body="{", content_type="application/json"), "caption_failed"),
    (Reply(body="[" * 100_000, content_type="application/json"), "caption_failed"),
    (Reply(body="", content_type="application/json"), "caption_failed"),
]


def test_an_odd_answer_is_read_or_skipped_and_the_run_goes_on(images: MakeImages) -> None:
    options = images(len(ODD) + 1, concurrency=1)
    replies = dict(enumerate(reply for reply, _ in ODD))
    with StandIn(lambda asked: replies.get(number_of(asked), describe(asked))) as server:
        result = run_caption(replace(options, endpoint=server.url))
    expected = {f"{number:03d}.jpg": reason for number, (_, reason) in enumerate(ODD) if reason}
    assert reasons(options.out) == expected
    assert result.manifest.totals["samples"] == len(ODD) + 1 - len(expected)
    store, manifest = open_dataset(options.out)
    details = [skip.detail for entry in manifest.shards for skip in read_skipped(store, entry.name)]
    assert len(details) == len(expected) and max(map(len, details)) <= 500 and all(details)
    assert list(validate(store, manifest)) == []
    assert run_caption(replace(options, endpoint="http://127.0.0.1:9/v1")).done_before


@pytest.mark.parametrize(("pictures", "skipped"), [(3, 6), (2, 0)])
def test_one_answer_to_several_different_pictures_describes_none(
    pictures: int, skipped: int, images: MakeImages
) -> None:
    options = images(6, pictures=pictures)
    with StandIn(lambda asked: Reply("A picture with many colours in it.")) as server:
        run_caption(replace(options, endpoint=server.url))
    assert Counter(reasons(options.out).values()) == Counter({"caption_repeated": skipped})


DEAD = {
    "wrong key": (Reply("Incorrect API key provided: sk-secret", status=401), "every request would fail"),
    "no such model": (Reply("The model `a-model` does not exist.", status=404), "every request would fail"),
    "always a bad request": (Reply("it has no eyes", status=400), "no request was answered"),
    "a web page": (Reply(body="<html>Welcome</html>"), "not a chat completion"),
}


@pytest.mark.parametrize(("reply", "says"), DEAD.values(), ids=DEAD)
def test_an_endpoint_that_refuses_everything_ends_the_run(
    reply: Reply, says: str, images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    options = images(3)
    with StandIn(lambda asked: reply) as server, pytest.raises(EndpointError, match=says) as error:
        run_caption(replace(options, endpoint=server.url))
    assert {asked.key for asked in server.asked} == {"sk-secret"}
    assert "sk-secret" not in str(error.value) and str(error.value).startswith(f"{server.url}: ")
    assert [path for path in Path(options.out).rglob("*") if path.is_file()] == []


def test_nobody_there_ends_the_run_and_leaves_an_earlier_dataset_whole(images: MakeImages) -> None:
    options = images(3)
    with StandIn() as server:
        run_caption(replace(options, endpoint=server.url))
    before = tree(Path(options.out))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(EndpointError, match="Connection error"):
        run_caption(replace(options, endpoint=f"http://127.0.0.1:{port}/v1", model="b", overwrite=True))
    assert tree(Path(options.out)) == before


def test_an_endpoint_that_dies_on_the_way_ends_the_run_and_keeps_what_is_done(images: MakeImages) -> None:
    options = images(60, 20, concurrency=1)
    with StandIn(lambda asked: describe(asked) if number_of(asked) < 25 else Reply(status=500)) as server:
        with pytest.raises(EndpointError, match=r"10 requests in a row failed; last error: .*out of order"):
            run_caption(replace(options, endpoint=server.url))
        assert len(server.asked) == 35
    assert len(list(Path(options.out).glob("shards/*.json"))) == 1
    with StandIn() as server:
        run_caption(replace(options, endpoint=server.url, concurrency=8))
    assert len(server.asked) == 40
    assert list(validate(*open_dataset(options.out))) == []


def test_failures_with_answers_in_between_end_nothing(images: MakeImages) -> None:
    options = images(24, concurrency=1)
    with StandIn(lambda asked: Reply(status=500) if number_of(asked) % 2 else describe(asked)) as server:
        run_caption(replace(options, endpoint=server.url))
    assert Counter(reasons(options.out).values()) == {"caption_failed": 12} and len(read(options.out)) == 12


def test_overwrite_removes_what_is_no_longer_made(images: MakeImages) -> None:
    options = images(6, 2)
    with StandIn() as server:
        run_caption(replace(options, endpoint=server.url))
        photos = str(Path(options.dir).with_name("photos"))
        run_ingest(IngestOptions((photos,), options.dir, captions=False, overwrite=True))
        run_caption(replace(options, endpoint=server.url, overwrite=True))
    assert list(validate(*open_dataset(options.out))) == []


def test_requests_under_way_are_dropped_when_the_run_ends(images: MakeImages) -> None:
    options = images(20, concurrency=4)

    async def refuse_the_fourth(asked: Asked) -> Reply:
        while len(server.asked) < 4:
            await asyncio.sleep(0.001)
        return Reply(status=401) if asked is server.asked[3] else Reply(stall=True)

    with StandIn(refuse_the_fourth) as server:
        with pytest.raises(EndpointError):
            run_caption(replace(options, endpoint=server.url))
        while server.ended < 3:
            time.sleep(0.01)
    assert len(server.asked) == 4


def test_other_options_are_refused_by_name_and_where_and_how_fast_is_free(
    images: MakeImages, tmp_path: Path
) -> None:
    options = images(2)
    with StandIn() as server:
        done = replace(options, endpoint=server.url)
        run_caption(done)
    first = tree(Path(options.out))
    assert run_caption(replace(options, endpoint="http://elsewhere/v1", concurrency=2, retries=9)).done_before
    assert tree(Path(options.out)) == first
    (tmp_path / "prompt.txt").write_text("Describe.")
    for changes, named in [
        ({"model": "b"}, "model was 'a-model' and is now 'b'"),
        ({"prompt": str(tmp_path / "prompt.txt")}, "prompt_sha256"),
        ({"seed": 1}, "seed"),
    ]:
        with pytest.raises(OptionsChangedError, match=named):
            run_caption(replace(done, **changes))
    (tmp_path / "photos" / "000.jpg").unlink()
    run_ingest(IngestOptions((str(tmp_path / "photos"),), options.dir, captions=False, overwrite=True))
    with pytest.raises(OptionsChangedError, match="another input"):
        run_caption(done)


def test_a_grown_input_asks_only_for_the_pictures_that_are_new(images: MakeImages, tmp_path: Path) -> None:
    options = images(5, 2)
    photos = tmp_path / "photos"

    def grow(*numbers: int) -> None:
        for number in numbers:
            (photos / f"{number:03d}.jpg").write_bytes(jpeg(seed=number + 50))
        run_ingest(IngestOptions((str(photos),), options.dir, shard_size=2, captions=False, overwrite=True))

    def untimed(url: str) -> list[tuple[Sample, bytes]]:
        return [(replace(sample, captioned=None), data) for sample, data in read(url)]

    with StandIn() as server:
        run_caption(replace(options, endpoint=server.url))
    before = tree(Path(options.out) / "shards")
    grow(1, 5, 6)  # one picture is another now, and the last shard grows
    dies = StandIn(lambda asked: describe(asked) if len(server.asked) < 2 else Reply(status=401))
    with dies as server, pytest.raises(EndpointError):
        run_caption(replace(options, endpoint=server.url, concurrency=1))
    changed = [jpeg(seed=number) for number in (51, 55, 56)]
    assert [asked.jpeg for asked in server.asked] == changed[:2]
    with StandIn() as server:
        result = run_caption(replace(options, endpoint=server.url))
        assert [asked.jpeg for asked in server.asked] == changed[1:], "after a stop, only what was not answered"
        run_caption(replace(options, endpoint=server.url, out=str(tmp_path / "fresh")))
    assert result.manifest.totals["samples"] == 7
    assert untimed(options.out) == untimed(str(tmp_path / "fresh"))
    assert list(validate(*open_dataset(options.out))) == []
    after = tree(Path(options.out) / "shards")
    assert after["00001.tar"] == before["00001.tar"]
    times = [sample.captioned.time for sample, _ in read(options.out) if sample.captioned]
    assert len(times) == 7


def test_the_prompt_can_be_a_file(images: MakeImages, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("\nDescribe it \u2026 in full.\n")
    options = images(1, prompt=str(path))
    with StandIn() as server:
        run_caption(replace(options, endpoint=server.url))
    assert server.asked[0].prompt == "Describe it \u2026 in full."
    ((sample, _),) = read(options.out)
    assert sample.captioned is not None
    assert sample.captioned.prompt_sha256 == hashlib.sha256("Describe it \u2026 in full.".encode()).hexdigest()


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), (b"\xff", "can't decode"), (b" \n", "is empty")]
)
def test_a_prompt_that_is_none_is_refused(content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "prompt.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_prompt(str(tmp_path / "prompt.txt"))


def test_a_dataset_that_has_captions_is_refused(images: MakeImages, tmp_path: Path) -> None:
    options = images(1)
    (tmp_path / "photos" / "000.txt").write_text("A caption.")
    run_ingest(IngestOptions((str(tmp_path / "photos"),), options.dir, overwrite=True))
    with pytest.raises(ConfigError, match=r"its images already have captions; .*--no-captions"):
        run_caption(options)


def test_without_the_client_the_extra_is_named(images: MakeImages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"pip install 'glitbuild\[caption\]'"):
        run_caption(images(1))


@pytest.mark.parametrize(
    "changes",
    [
        *(
            {"endpoint": url}
            for url in ("localhost:8000", "ftp://a/v1", "http://", "http://[/v1", "http://u:p@a/v1")
        ),
        *({name: value} for name, value in {"model": "", "max_side": 8, "max_tokens": 0, "retries": -1}.items()),
        *({"timeout": value} for value in (0, float("nan"), float("inf"))),
        *({"temperature": value} for value in (-1, 3, float("nan"))),
        *({"concurrency": value} for value in (0, 1001)),
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="--" + next(iter(changes)).replace("_", "-")) as error:
        replace(CaptionOptions("a", "b", "http://localhost/v1", "m"), **changes)
    assert "u:p" not in str(error.value)


def test_match_and_datasets_read_the_result(images: MakeImages, tmp_path: Path) -> None:
    options = images(3)
    with StandIn() as server:
        run_caption(replace(options, endpoint=server.url))
    pairs = str(tmp_path / "pairs")
    run_match(MatchOptions(options.out, pairs, workers=0, detector="none", clip_model="demo"))
    assert list(validate(*open_dataset(pairs))) == []
    captioned = [sample.captioned for sample, _ in read(options.out)]
    assert [sample.captioned for sample, _ in read(pairs)] == captioned and None not in captioned
    rows = datasets.load_dataset(
        "webdataset", data_files=f"{pairs}/shards/*.tar", split="train", cache_dir=str(tmp_path / "cache")
    )
    assert [row["json"]["captioned"]["model"] for row in rows] == ["a-model"] * 3


def test_a_record_without_who_wrote_its_caption_is_no_valid_one(images: MakeImages) -> None:
    options = images(1)
    with StandIn() as server:
        run_caption(replace(options, endpoint=server.url))
    tar = Path(options.out) / "shards" / "00000.tar"
    data = tar.read_bytes()
    start, end = data.index(b',"captioned"'), data.index(b"}}", data.index(b',"captioned"')) + 1
    tar.write_bytes(data[:start] + data[end : end + 1] + b" " * (end - start) + data[end + 1 :])
    assert any("which model wrote the caption" in problem.what for problem in validate(*open_dataset(options.out)))


def test_the_client_writes_nothing_of_its_own_to_the_log(
    images: MakeImages, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    options = images(2)
    with StandIn() as server, caplog.at_level(logging.DEBUG):
        run_caption(replace(options, endpoint=server.url))
    assert "sk-secret" not in caplog.text
