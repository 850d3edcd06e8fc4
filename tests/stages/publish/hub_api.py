"""The answers of the stand-in for the Hub, a function an address: where they are, and those that write."""

import json
import re
from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING, Any

import yaml

from tests.stages.publish.hub_reads import (
    discussion,
    discussions,
    info,
    paths_info,
    resolve,
    status,
    tree,
    writable,
)
from tests.stages.publish.hub_state import RefusedError, Repo
from tests.stages.publish.hub_xet import put_shard, put_xorb, token

if TYPE_CHECKING:
    from tests.stages.publish.hub_server import Hub, Request

Answer = tuple[int, bytes, dict[str, str]]

NAME = r"(?P<kind>models|datasets)/(?P<name>[\w.-]+/[\w.-]+)"
PREFIXED = r"/(?P<kind>datasets/)?(?P<name>[\w.-]+/[\w.-]+)"
PR = r"refs/pr/\d+"
REVISION = rf"(?P<revision>{PR}|[^/]+)"


def answer(hub: "Hub", request: "Request") -> Answer:
    """Answer a request, or raise ``RefusedError``."""
    kind, match = _route(request.method, request.path)
    if match is None:
        raise RefusedError(404, f"no such address: {request.path}")
    found = ROUTES[kind][2](hub, request, match.groupdict())
    return found if isinstance(found, tuple) else (200, json.dumps(found).encode(), {})


def kind_of(method: str, path: str) -> str:
    """Return what kind of request this is."""
    return _route(method, path)[0]


def _route(method: str, path: str) -> tuple[str, re.Match[str] | None]:
    for kind, (methods, pattern, _) in ROUTES.items():
        if method in methods and (match := re.fullmatch(pattern, path)):
            return kind, match
    return "unknown", None


def whoami(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    if not request.user:
        raise RefusedError(401, "Invalid username or password.")
    return {"name": request.user, "type": "user"}


def create(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    if not request.user:
        raise RefusedError(401, "Invalid username or password.")
    wanted = request.json
    namespace, kind = wanted["organization"] or request.user, wanted.get("type", "model")
    name = f"{namespace}/{wanted['name']}"
    if namespace != request.user:
        raise RefusedError(403, f"You don't have the rights to create a {kind} under the namespace {namespace}")
    url = f"{hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
    if (kind, name) in hub.repos:
        return 409, json.dumps({"error": f"You already created this {kind} repo", "url": url}).encode(), {}
    hub.repos[kind, name] = Repo(kind, name, request.user, wanted.get("visibility") == "private")
    return {"url": url}


def validate_yaml(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    front = re.match(r"---\n(.*?)\n---\n", request.json["content"], flags=re.S)
    try:
        metadata = yaml.safe_load(front[1]) if front else {}
    except yaml.YAMLError as error:
        raise RefusedError(400, f"the metadata is not YAML: {error}") from error
    if not isinstance(metadata.get("language", "en"), str | list):
        raise RefusedError(400, '"language" must be a string or a list')
    return {"errors": [], "warnings": []}


def preupload(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    repo = writable(hub, request, parts)
    files = repo.at(parts["revision"]).files
    found = []
    for file in request.json["files"]:
        there = files.get(file["path"])
        oid = None if there is None else there.sha256 if there.stored else there.blob
        mode = repo.upload_mode(file["path"], file["size"])
        found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return {"files": found}


def batch(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    ref = request.json.get("ref", {}).get("name", "main")
    repo = writable(hub, request, parts | {"revision": ref})
    objects = []
    for wanted in request.json["objects"]:
        oid, size = wanted["oid"], wanted["size"]
        if len(repo.storage.get(oid, b"")) == size:
            objects.append({"oid": oid, "size": size})
            continue
        place = f"{hub.url}/storage/{repo.kind}/{repo.name}/{oid}"
        secret = f"X-Amz-Signature={hub.signature}"
        upload: dict[str, Any] = {"href": f"{place}?{secret}", "header": {}}
        if size > hub.part_size:
            count = ceil(size / hub.part_size)
            urls = {str(number): f"{place}?part={number}&{secret}" for number in range(1, count + 1)}
            upload = {"href": f"{place}/complete?{secret}", "header": {"chunk_size": str(hub.part_size)} | urls}
        verify = {"href": f"{hub.url}/api/verify/{repo.kind}/{repo.name}", "header": {}}
        objects.append({"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}})
    return {"transfer": "basic", "objects": objects}


def put(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    if request.query.get("X-Amz-Signature") != hub.signature or request.user:
        raise RefusedError(403, "the address is not signed, or it was told a token")
    repo = hub.repos[parts["kind"], parts["name"]]
    if "part" in request.query:
        hub.parts.setdefault(parts["oid"], {})[int(request.query["part"])] = request.body
        return 200, b"", {"ETag": f"part-{request.query['part']}"}
    hub.store(repo, parts["oid"], request.body)
    return 200, b"", {}


def complete(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    sent = hub.parts.pop(parts["oid"])
    assert [f"part-{part['partNumber']}" for part in request.json["parts"]] == [f"part-{n}" for n in sorted(sent)]
    hub.store(hub.repos[parts["kind"], parts["name"]], parts["oid"], b"".join(sent[n] for n in sorted(sent)))
    return {}


def verify(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    if len(hub.repos[parts["kind"], parts["name"]].storage.get(request.json["oid"], b"")) != request.json["size"]:
        raise RefusedError(400, "the object did not arrive")
    return {}


def commit(hub: "Hub", request: "Request", parts: dict[str, str]) -> Any:
    made = writable(hub, request, parts).commit(parts["revision"], request.body)
    return {
        "commitUrl": f"{hub.url}/{parts['name']}/commit/{made.oid}",
        "commitOid": made.oid,
        "pullRequestUrl": None,
    }


ROUTES: dict[str, tuple[str, str, Callable[["Hub", "Request", dict[str, str]], Any]]] = {
    "whoami": ("GET", "/api/whoami-v2", whoami),
    "create": ("POST", "/api/repos/create", create),
    "yaml": ("POST", "/api/validate-yaml", validate_yaml),
    "preupload": ("POST", rf"/api/{NAME}/preupload/{REVISION}", preupload),
    "batch": ("POST", PREFIXED + r"\.git/info/lfs/objects/batch", batch),
    "put": ("PUT", r"/storage/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})", put),
    "complete": ("POST", r"/storage/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})/complete", complete),
    "verify": ("POST", r"/api/verify/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)", verify),
    "token": ("GET", rf"/api/{NAME}/xet-write-token/{REVISION}", token),
    "xorb": ("POST", r"/xet/v1/xorbs/default/(?P<oid>[0-9a-f]{64})", put_xorb),
    "shard": ("POST", r"/xet/v1/shards", put_shard),
    "commit": ("POST", rf"/api/{NAME}/commit/{REVISION}", commit),
    "tree": ("GET", rf"/api/{NAME}/tree/{REVISION}(?:/(?P<folder>.+))?", tree),
    "paths-info": ("POST", rf"/api/{NAME}/paths-info/{REVISION}", paths_info),
    "discussions": ("GET POST", rf"/api/{NAME}/discussions", discussions),
    "discussion": ("GET", rf"/api/{NAME}/discussions/(?P<number>\d+)", discussion),
    "status": ("POST", rf"/api/{NAME}/discussions/(?P<number>\d+)/status", status),
    "info": ("GET", rf"/api/{NAME}(?:/revision/{REVISION})?", info),
    "resolve": ("GET HEAD", PREFIXED + rf"/resolve/{REVISION}/(?P<path>.+)", resolve),
}
