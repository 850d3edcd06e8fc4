"""The storage that hf_xet sends to, as the stand-in for the Hub has it: chunks in xorbs, files as lists of chunks.

A xorb is a row of compressed chunks; a shard says of which chunks a file is made, and its SHA-256. The layouts are
those of xet-core's ``xorb_object`` and ``metadata_shard``; the client falls back to these two requests from the
newer ones (grants, shards with progress), which this server doesn't know.
"""

import hashlib
import struct
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tests.stages.publish.hub_reads import writable
from tests.stages.publish.hub_state import RefusedError

if TYPE_CHECKING:
    from tests.stages.publish.hub_server import Hub, Request

RECORD = 48
"""The bytes of every record in a shard, the header too."""

END = b"\xff" * 32
"""The hash of the record after the last file."""

VERIFIED, WITH_SHA256 = 1 << 31, 1 << 30
"""Flags of a file: each of its segments has a record that verifies it, and one record has its SHA-256."""


def token(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    repo = writable(hub, request, parts)
    secret = f"xet-{hub.signature}"
    hub.users[secret] = secret
    hub.xet_tokens[secret] = repo
    return {"casUrl": f"{hub.url}/xet", "accessToken": secret, "exp": int(time.time()) + 3600}


def put_xorb(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    _repo_of_token(hub, request)
    chunks = list(_chunks(request.body))
    for chunk in chunks:
        hub.received[hashlib.sha256(chunk).hexdigest()] += 1
    hub.received_bytes += len(request.body)
    is_new = parts["oid"] not in hub.xorbs
    hub.xorbs[parts["oid"]] = chunks
    return {"was_inserted": is_new}


def put_shard(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    repo = _repo_of_token(hub, request)
    for sha256, segments in _files(request.body):
        content = b"".join(chunk for xorb, start, end in segments for chunk in hub.xorbs[xorb][start:end])
        if hashlib.sha256(content).hexdigest() != sha256:
            raise RefusedError(400, "the content is not what its SHA-256 says")
        repo.storage[sha256] = content
    return {"result": 1}


def _repo_of_token(hub: "Hub", request: "Request") -> Any:
    if request.user not in hub.xet_tokens:
        raise RefusedError(401, "not the token that was given for the storage")
    return hub.xet_tokens[request.user]


def _chunks(xorb: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(xorb):
        version, *packed, scheme, low, middle, high = xorb[position : position + 8]
        assert version == 0
        end = position + 8 + int.from_bytes(packed, "little")
        yield _unpacked(xorb[position + 8 : end], scheme, int.from_bytes((low, middle, high), "little"))
        position = end


def _unpacked(data: bytes, scheme: int, size: int) -> bytes:
    if scheme == 0:
        return data
    content = bytes(pa.decompress(data, size, "lz4", asbytes=True))
    if scheme == 2:  # first every fourth byte from the first on, then from the second on, ...
        grouped, content = content, bytearray(size)
        start = 0
        for offset in range(4):
            length = len(range(offset, size, 4))
            content[offset::4] = grouped[start : start + length]
            start += length
    return bytes(content)


def _files(shard: bytes) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    position = RECORD
    while (name := shard[position : position + 32]) != END:
        flags, count = struct.unpack_from("<II", shard, position + 32)
        position += RECORD
        segments = []
        for _ in range(count):
            start, end = struct.unpack_from("<II", shard, position + 40)
            segments.append((_hex(shard[position : position + 32]), start, end))
            position += RECORD
        position += RECORD * count * bool(flags & VERIFIED)
        assert flags & WITH_SHA256, name
        yield _hex(shard[position : position + 32]), segments
        position += RECORD


def _hex(name: bytes) -> str:
    """Return a hash as it is written: four numbers of eight bytes, of which the lowest byte is stored first."""
    return struct.pack(">4Q", *struct.unpack("<4Q", name)).hex()
