"""A server on 127.0.0.1 that speaks the chat-completions API, and remembers what it was asked."""

import asyncio
import base64
import hashlib
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web


@dataclass
class Asked:
    """A request: its picture, its text, all of its body, and how often this picture was asked about before."""

    jpeg: bytes
    prompt: str
    body: dict[str, Any]
    key: str
    before: int


@dataclass
class Reply:
    """What to answer; ``drop`` breaks the connection, ``stall`` never answers."""

    text: str | None = None
    status: int = 200
    finish_reason: str = "stop"
    refusal: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    content_type: str = "text/html"
    drop: bool = False
    stall: bool = False


Answer = Callable[[Asked], Reply | Awaitable[Reply]]


def caption_of(jpeg: bytes) -> str:
    """Return the caption that the stand-in gives a picture, a different one for each."""
    name = hashlib.sha256(jpeg).hexdigest()[:8]
    return f"A square of coloured noise called {name} fills the frame. Its left side is as bright as its right."


def describe(asked: Asked) -> Reply:
    return Reply(caption_of(asked.jpeg))


class StandIn:
    """Runs in a thread of its own, as a context manager.

    Attributes:
        asked: the requests, in the order of their arrival.
        most: how many were under way at a time.
        ended: how many clients hung up before they were answered.
    """

    def __init__(self, answer: Answer = describe) -> None:
        self._answer = answer
        self.asked: list[Asked] = []
        self.most = self.ended = self._now = 0
        self._times: Counter[bytes] = Counter()

    def __enter__(self) -> "StandIn":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        asked = self._parse(await request.json(), request.headers["Authorization"])
        self.asked.append(asked)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            reply = self._answer(asked)
            return await self._respond(request, await reply if isinstance(reply, Awaitable) else reply)
        except asyncio.CancelledError:
            self.ended += 1
            raise
        finally:
            self._now -= 1

    def _parse(self, body: dict[str, Any], authorization: str) -> Asked:
        (message,) = body["messages"]
        text, picture = message["content"]
        assert message["role"] == "user" and (text["type"], picture["type"]) == ("text", "image_url")
        head, _, data = picture["image_url"]["url"].partition(",")
        assert head == "data:image/jpeg;base64"
        jpeg = base64.b64decode(data, validate=True)
        self._times[jpeg] += 1
        return Asked(jpeg, text["text"], body, authorization.removeprefix("Bearer "), self._times[jpeg] - 1)

    async def _respond(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        if reply.stall:
            await asyncio.Event().wait()
        if reply.drop:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if reply.body is not None:
            return web.Response(text=reply.body, status=reply.status, content_type=reply.content_type)
        if reply.status != 200:
            error = {"error": {"message": reply.text or "out of order", "type": "error", "code": reply.status}}
            return web.json_response(error, status=reply.status, headers=reply.headers)
        message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        return web.json_response(body, headers=reply.headers)
