"""The answers of the stand-in for the Hub that read a repository, or speak of it."""

import json
import re
from typing import TYPE_CHECKING, Any

from tests.stages.publish.hub_state import Commit, RefusedError, Repo

if TYPE_CHECKING:
    from tests.stages.publish.hub_server import Hub, Request


def repo_of(hub: "Hub", request: "Request", parts: dict[str, str]) -> Repo:
    kind = "dataset" if (parts["kind"] or "").startswith("datasets") else "model"
    return hub.repo(kind, parts["name"], request.user)


def writable(hub: "Hub", request: "Request", parts: dict[str, str]) -> Repo:
    repo = repo_of(hub, request, parts)
    if not request.user:
        raise RefusedError(401, "Invalid username or password.")
    number = re.fullmatch(r"refs/pr/(\d+)", parts.get("revision") or "")
    author = repo.discussions[int(number[1]) - 1]["author"]["name"] if number else repo.owner
    if request.user != author:
        raise RefusedError(403, "you don't have write access")
    return repo


def _listing(at: Commit, folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    inside = {path.removeprefix(prefix): file for path, file in sorted(at.files.items()) if path.startswith(prefix)}
    depth = 99 if recursive else 1
    folders = {"/".join(path.split("/")[:n]) for path in inside for n in range(1, min(path.count("/"), depth) + 1)}
    entries = [{"type": "directory", "path": prefix + each, "oid": "0" * 40, "size": 0} for each in sorted(folders)]
    return entries + [file.entry(prefix + path) for path, file in inside.items() if recursive or "/" not in path]


def tree(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    at = repo_of(hub, request, parts).at(parts["revision"])
    entries = _listing(at, parts["folder"] or "", request.query.get("recursive", "").lower() in ("true", "1"))
    if parts["folder"] and not entries:
        raise RefusedError(404, "no such folder", "EntryNotFound")
    start = int(request.query.get("cursor", 0))
    end = start + hub.page_size
    address = hub.url + request.path.replace("refs/pr/", "refs%2Fpr%2F")
    following = f'<{address}?recursive={request.query.get("recursive", "false")}&cursor={end}>; rel="next"'
    return 200, json.dumps(entries[start:end]).encode(), {"Link": following} if end < len(entries) else {}


def paths_info(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    at = repo_of(hub, request, parts).at(parts["revision"])
    paths = request.form.get("paths") or request.json["paths"]
    return [entry for entry in _listing(at, "", True) if entry["path"] in paths]


def info(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    repo = repo_of(hub, request, parts)
    at = repo.at(parts["revision"] or "main")
    siblings = [{"rfilename": path} for path in at.files]
    return {"id": repo.name, "sha": at.oid, "private": repo.private, "tags": [], "siblings": siblings}


def discussions(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    repo = repo_of(hub, request, parts)
    if request.method == "POST":
        return repo.discuss(request.json["title"], request.user, request.json["pullRequest"])
    author = request.query.get("author")
    found = [each for each in repo.discussions if author in (None, each["author"]["name"])]
    return {"discussions": found, "count": len(found), "start": 0}


def discussion(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    return repo_of(hub, request, parts).discussions[int(parts["number"]) - 1]


def status(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    changed = repo_of(hub, request, parts).discussions[int(parts["number"]) - 1]
    changed["status"] = request.json["status"]
    event = {"id": "1", "type": "status-change", "createdAt": changed["createdAt"], "author": changed["author"]}
    return {"newStatus": event | {"data": {"status": changed["status"]}}}


def resolve(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    at = repo_of(hub, request, parts).at(parts["revision"])
    file = at.files.get(parts["path"])
    headers = {"X-Repo-Commit": at.oid}
    if file is None:
        refused = RefusedError(404, "Entry not found", "EntryNotFound")
        refused.headers |= headers
        raise refused
    return 200, file.content, headers | {"ETag": f'"{file.sha256 if file.stored else file.blob}"'}
