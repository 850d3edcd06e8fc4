"""A stand-in for the Hugging Face Hub: it speaks the parts of its API that the real client uses, on 127.0.0.1.

It keeps what it gets, checks every object against its name, counts what arrives, and can fail as the Hub or the
network does.
"""

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.stages.publish.hub_api import answer, kind_of
from tests.stages.publish.hub_state import RefusedError, Repo


@dataclass(frozen=True)
class Fault:
    """What goes wrong: an answer with a status, or with none of them, a dropped connection."""

    where: str = "instead"
    """``instead`` of doing anything, in the ``middle`` of the body, or ``after`` it was done."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    then: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Request:
    kind: str
    number: int
    """Of its kind, from 1."""
    method: str
    path: str
    query: dict[str, str]
    user: str
    body: bytes
    form: dict[str, list[str]]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Hub:
    """The state, and what happened to it.

    Attributes:
        users: names by token.
        repos: by kind and name.
        requests: how many there were of each kind.
        received: how often the whole of an object arrived, or of a chunk of one over Xet, by SHA-256.
        xorbs: the chunks that arrived together over Xet, by the name of the whole.
        xet_tokens: what they allow to write to.
        fault: says what goes wrong with a request, by its kind and its number.
        check: may refuse one, same as above.
        part_size: larger objects are asked for in parts of so many bytes.
    """

    def __init__(self) -> None:
        self.users = {"hf_annas": "anna", "hf_bens": "ben"}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self.received_bytes = 0
        self.parts: dict[str, dict[int, bytes]] = {}
        self.xorbs: dict[str, list[bytes]] = {}
        self.xet_tokens: dict[str, Repo] = {}
        self.fault: Callable[[str, int], Fault | None] = lambda kind, number: None
        self.check: Callable[[str, int], None] = lambda kind, number: None
        self.part_size = 1 << 40
        self.page_size = 1000
        self.signature = secrets.token_hex(8)
        self.lock = Lock()
        self.url = ""

    def repo(self, kind: str, name: str, user: str) -> Repo:
        repo = self.repos.get((kind, name))
        if repo is None or (repo.private and repo.owner != user):
            raise RefusedError(401 if not user else 404, "Repository not found", "RepoNotFound")
        return repo

    def store(self, repo: Repo, oid: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != oid:
            raise RefusedError(400, "the content is not what its name says")
        self.received[oid] += 1
        self.received_bytes += len(content)
        repo.storage[oid] = content


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def _handle(self) -> None:
        address = urlsplit(self.path)
        path, length = unquote(address.path), int(self.headers.get("Content-Length") or 0)
        kind = kind_of(self.command, path)
        with self.hub.lock:
            self.hub.requests[kind] += 1
            number = self.hub.requests[kind]
            fault = self.hub.fault(kind, number)
        if fault and fault.where == "middle":
            self.rfile.read(length // 2)
            fault.then()
            return self._drop()
        body = self.rfile.read(length)
        if fault and fault.where == "instead":
            fault.then()
            return self._send(fault.status, b"", fault.headers) if fault.status else self._drop()
        try:
            user = self._user()
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            form = parse_qs(body.decode()) if "form" in self.headers.get("Content-Type", "") else {}
            request = Request(kind, number, self.command, path, query, user, body, form)
            self.hub.check(kind, number)
            with self.hub.lock:
                status, content, headers = answer(self.hub, request)
        except RefusedError as refused:
            status, headers = refused.status, refused.headers
            content = json.dumps({"error": refused.why, "errors": [{"message": refused.why}]}).encode()
        if fault:
            fault.then()
            return self._drop()
        return self._send(status, content, headers)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815 - the names that http.server calls

    def _user(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.users:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return self.hub.users.get(token, "")

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        first, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if first and status == 200:
            last = min(int(end or len(content) - 1), len(content) - 1)
            headers = headers | {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
            status, content = 206, content[int(first) : last + 1]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drop(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients are killed on purpose


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve a Hub until the block ends; its address is in ``hub.url``."""
    server = Server(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
