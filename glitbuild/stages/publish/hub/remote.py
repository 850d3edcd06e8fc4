"""A repository on the Hub, or a pull request to it, accessed through the Hub's own client."""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from glitbuild import __version__
from glitbuild.errors import ConfigError
from glitbuild.shards.store import Store
from glitbuild.stages.publish.hub.failures import patiently

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile


Kind = Literal["dataset", "model"]

CARD = "README.md"

COMMIT_FILES = 200
COMMIT_BYTES = 2 * 10**9
"""Maximum number of files and bytes of a commit, if it has more than one file."""

GROUP_BYTES = 256 * 10**6
"""Maximum number of bytes passed to the Hub's Xet storage at once, if it is more than one file. Xet stores a group
only when all of it has arrived, so this much is uploaded again after an interruption."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a repository.

    Attributes:
        name: path in the repository, and in the pushed folder if it is read from there.
        size: size in bytes.
        sha256: SHA-256 of its content, in hex.
        data: content of the file, if it isn't read from the pushed folder.
    """

    name: str
    size: int
    sha256: str
    data: bytes | None = None

    @classmethod
    def made(cls, name: str, data: bytes) -> "Entry":
        """Return an entry for a generated file that is in no folder."""
        return cls(name, len(data), hashlib.sha256(data).hexdigest(), data)

    @classmethod
    def stored(cls, store: Store, name: str) -> "Entry":
        """Return an entry for a file of a folder; its content is read to compute the hash."""
        file = store.stored(name)
        return cls(name, file.bytes, file.sha256)

    def blob_id(self, store: Store) -> str:
        """Return the git blob id of the content; the whole file is read, so it should be small."""
        data = store.read(self.name) if self.data is None else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Contents:
    """Target contents of a repository.

    Attributes:
        kind: type of the repository.
        store: folder that is pushed.
        first: most of the files, in the order of the upload.
        last: files that describe the rest and mark it as complete; one commit, after all others.
        marks: files that mark an earlier version as complete, removed before anything else of it changes.
    """

    kind: Kind
    store: Store
    first: tuple[Entry, ...]
    last: tuple[Entry, ...]
    marks: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        yield from self.first
        yield from self.last

    @property
    def size(self) -> int:
        """Total size of all files in bytes."""
        return sum(entry.size for entry in self)

    @property
    def names(self) -> frozenset[str]:
        """Paths of all files."""
        return frozenset(entry.name for entry in self)


def chunks(entries: Iterable[Entry], most: int) -> Iterator[list[Entry]]:
    """Split files into lists of at most ``COMMIT_FILES``, in order.

    Args:
        entries: files to split.
        most: maximum number of bytes of a list with more than one file.
    """
    chunk: list[Entry] = []
    for entry in entries:
        size = sum(other.size for other in chunk)
        if chunk and (len(chunk) == COMMIT_FILES or size + entry.size > most):
            yield chunk
            chunk = []
        chunk.append(entry)
    if chunk:
        yield chunk


SECONDS = 600.0
"""Seconds of silence after which a connection counts as dropped; a commit may take minutes."""

log = logging.getLogger(__name__)


class Remote:
    """A repository that files are uploaded to.

    Args:
        repo: name of the repository.
        kind: type of the repository.
        token: token of the user.
    """

    def __init__(self, repo: str, kind: Kind, token: str) -> None:
        from huggingface_hub import HfApi

        self._api = HfApi(token=token, library_name="glitbuild", library_version=__version__)
        self._at: dict[str, Any] = {"repo_id": repo, "repo_type": kind}
        self._pull_request: Any = None

    @property
    def revision(self) -> str:
        """Branch, or reference of the pull request, that is committed to."""
        return str(self._pull_request.git_reference) if self._pull_request else "main"

    @property
    def url(self) -> str:
        """URL of its page for people."""
        if self._pull_request:
            return str(self._pull_request.url)
        prefix = "datasets/" if self._at["repo_type"] == "dataset" else ""
        return f"{self._api.endpoint}/{prefix}{self._at['repo_id']}"

    def create(self, private: bool) -> None:
        """Create the repository if it doesn't exist.

        Raises:
            ConfigError: it should be private, but it exists and is public.
        """
        patiently(lambda: self._api.create_repo(**self._at, private=private or None, exist_ok=True), reached=False)
        if private and not patiently(lambda: self._api.repo_info(**self._at)).private:
            fix = "make it private in its settings, or omit --private"
            raise ConfigError(self._at["repo_id"], "the repository exists, and it is public", fix)

    def tree(self) -> dict[str, "RepoFile"]:
        """Return all committed files by path, with their sizes and hashes."""
        from huggingface_hub.hf_api import RepoFile

        found = self._api.list_repo_tree(**self._at, recursive=True, revision=self.revision)
        return {entry.path: entry for entry in found if isinstance(entry, RepoFile)}

    def check_card(self) -> None:
        """Check that the card was made by a push, or is still empty.

        Raises:
            ConfigError: somebody else wrote it, so the repository holds something else.
        """
        from huggingface_hub.repocard import RepoCard

        with TemporaryDirectory() as folder:
            found = patiently(lambda: self._api.hf_hub_download(filename=CARD, local_dir=folder, **self._at))
            card = RepoCard(Path(found).read_text(encoding="utf-8"), ignore_metadata_errors=True)
        if card.text.strip() and "glitbuild" not in (card.data.get("tags") or []):
            fix = f"give another name or, to keep that {CARD}, copy it into the folder that you push"
            raise ConfigError(self._at["repo_id"], f"it has a {CARD} that glitbuild didn't make", fix)

    def open_pull_request(self, title: str) -> None:
        """Commit to a pull request from now on: the user's open one with this title, or a new draft."""
        self._pull_request = patiently(lambda: self._own_pull_request(title) or self._new_pull_request(title))
        log.info("push: %s", self._pull_request.url)

    def _own_pull_request(self, title: str) -> Any:
        me = self._api.whoami()["name"]
        found = self._api.get_repo_discussions(**self._at, author=me, discussion_type="pull_request")
        return next((each for each in found if each.title == title and each.status in ("draft", "open")), None)

    def _new_pull_request(self, title: str) -> Any:
        description = "A draft until all files are uploaded. Made with glitbuild push."
        return self._api.create_pull_request(**self._at, title=title, description=description)

    @property
    def is_xet(self) -> bool:
        """Whether files go to the Hub's Xet storage, through a library that the client usually installs."""
        from huggingface_hub import constants

        return not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None

    def store(self, additions: Sequence[Any]) -> None:
        """Upload the files that belong in the Hub's object storage and aren't there yet."""
        from huggingface_hub import get_session

        get_session().timeout = SECONDS
        self._api.preupload_lfs_files(**self._at, additions=additions, revision=self.revision)

    def commit(self, operations: Sequence[Any], message: str) -> None:
        """Commit files whose large contents are already stored; small ones are sent with the commit."""
        self._api.create_commit(**self._at, operations=operations, commit_message=message, revision=self.revision)

    def publish(self) -> None:
        """If the upload went to a draft pull request, mark it as ready to merge."""
        if self._pull_request and self._pull_request.status == "draft":
            change = {"discussion_num": self._pull_request.num, "new_status": "open"}
            patiently(lambda: self._api.change_discussion_status(**self._at, **change))
