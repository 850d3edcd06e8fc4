"""What a stand-in for the Hub keeps: repositories with commits, references, stored objects, pull requests."""

import base64
import hashlib
import json
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

REGULAR_BYTES = 10_000_000
STORED = (".tar", ".parquet", ".safetensors", ".png", ".bin")
"""Endings of the files that a repository's .gitattributes sends to the storage."""


class RefusedError(Exception):
    """An answer that is not 200: its status, and a body and headers that say why."""

    def __init__(self, status: int, why: str, code: str = "") -> None:
        super().__init__(status, why)
        self.status, self.why = status, why
        self.headers = {"X-Error-Message": why} | ({"X-Error-Code": code} if code else {})


@dataclass(frozen=True)
class File:
    content: bytes
    stored: bool

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob(self) -> str:
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {self.size}\n"
        data = pointer.encode() if self.stored else self.content
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def entry(self, path: str) -> dict[str, Any]:
        lfs = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 134}} if self.stored else {}
        return {"type": "file", "path": path, "size": self.size, "oid": self.blob} | lfs


@dataclass
class Commit:
    oid: str
    title: str
    files: dict[str, File]


@dataclass
class Repo:
    kind: str
    name: str
    owner: str
    private: bool
    refs: dict[str, Commit] = field(default_factory=dict)
    commits: list[Commit] = field(default_factory=list)
    storage: dict[str, bytes] = field(default_factory=dict)
    discussions: list[dict[str, Any]] = field(default_factory=list)
    written: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a path got a content, by its SHA-256, in a commit."""

    def __post_init__(self) -> None:
        self.add("main", "initial commit", {".gitattributes": File(b"*.tar filter=lfs\n", False)})

    def add(self, ref: str, title: str, files: dict[str, File]) -> Commit:
        commit = Commit(secrets.token_hex(20), title, files)
        self.refs[ref] = commit
        self.commits.append(commit)
        return commit

    def at(self, revision: str) -> Commit:
        found = self.refs.get(revision) or next((each for each in self.commits if each.oid == revision), None)
        if found is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    def upload_mode(self, path: str, size: int) -> str:
        return "lfs" if path.endswith(STORED) or size > REGULAR_BYTES else "regular"

    def commit(self, ref: str, body: bytes) -> Commit:
        header, *operations = (json.loads(line) for line in body.splitlines())
        files = dict(self.at(ref).files)
        for operation in operations:
            key, value = operation["key"], operation["value"]
            path = value["path"]
            if key == "deletedFile":
                if path not in files:
                    raise RefusedError(404, "A file with this name doesn't exist", "EntryNotFound")
                del files[path]
                continue
            if key == "lfsFile":
                if len(self.storage.get(value["oid"], b"")) != value["size"]:
                    raise RefusedError(400, f"{path}: the storage has no such object")
                files[path] = File(self.storage[value["oid"]], True)
            else:
                assert key == "file"
                assert value["encoding"] == "base64"
                content = base64.b64decode(value["content"])
                if self.upload_mode(path, len(content)) != "regular" and content:
                    raise RefusedError(400, f"{path}: such files belong into the storage")
                files[path] = File(content, False)
            self.written[path, files[path].sha256] += 1
        if files == self.at(ref).files:
            raise RefusedError(400, "nothing to commit")
        return self.add(ref, header["value"]["summary"], files)

    def discuss(self, title: str, author: str, is_pull_request: bool) -> dict[str, Any]:
        number = len(self.discussions) + 1
        discussion = {
            "num": number,
            "title": title,
            "author": {"name": author},
            "createdAt": "2026-01-01T00:00:00.000Z",
            "status": "draft" if is_pull_request else "open",
            "repo": {"name": self.name, "type": self.kind},
            "isPullRequest": is_pull_request,
            "events": [],
            "changes": {"base": "refs/heads/main"},
            "filesWithConflicts": [],
        }
        self.discussions.append(discussion)
        if is_pull_request:
            self.refs[f"refs/pr/{number}"] = self.refs["main"]
        return discussion
