"""A repository on the Hub, or a pull request to one: its contents, and the Hub's own client."""

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
"""What a commit holds at most, if it has more than one file."""

GROUP_BYTES = 256 * 10**6
"""What the Hub's Xet storage gets at once, if it is more than one file. It knows nothing of a group until all of it
has arrived, so this much is sent again after an interruption."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a repository.

    Attributes:
        name: its path there, and where it is read from in the folder that is pushed.
        size: in bytes.
        sha256: of its content, in hex.
        data: its content, where it isn't read from that folder.
    """

    name: str
    size: int
    sha256: str
    data: bytes | None = None

    @classmethod
    def made(cls, name: str, data: bytes) -> "Entry":
        """Return one that was made for the repository and is in no folder."""
        return cls(name, len(data), hashlib.sha256(data).hexdigest(), data)

    @classmethod
    def stored(cls, store: Store, name: str) -> "Entry":
        """Return one of a folder, whose content is read to hash it."""
        file = store.stored(name)
        return cls(name, file.bytes, file.sha256)

    def blob_id(self, store: Store) -> str:
        """Return the id that git gives its content; all of it is read, so it should be small."""
        data = store.read(self.name) if self.data is None else self.data
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Contents:
    """What a repository is to hold.

    Attributes:
        kind: of the repository.
        store: the folder that is pushed.
        first: most of the files, in the order they are sent.
        last: those that say what it is and that it is whole; one commit, when all others are there.
        marks: what an earlier version says that it is whole with, and loses before anything else of it changes.
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
        """The bytes of all files."""
        return sum(entry.size for entry in self)

    @property
    def names(self) -> frozenset[str]:
        """The paths of all files."""
        return frozenset(entry.name for entry in self)


def chunks(entries: Iterable[Entry], most: int) -> Iterator[list[Entry]]:
    """Divide files into lists of at most ``COMMIT_FILES``, in order.

    Args:
        entries: the files.
        most: bytes of a list that has more than one.
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
"""A connection that is silent for so long counts as dropped; a commit may take minutes."""

log = logging.getLogger(__name__)


class Remote:
    """A repository that files are sent to.

    Args:
        repo: its name.
        kind: of repository.
        token: of the user.
    """

    def __init__(self, repo: str, kind: Kind, token: str) -> None:
        from huggingface_hub import HfApi

        self._api = HfApi(token=token, library_name="glitbuild", library_version=__version__)
        self._at: dict[str, Any] = {"repo_id": repo, "repo_type": kind}
        self._pull_request: Any = None

    @property
    def revision(self) -> str:
        """The branch, or the pull request's reference, that is committed to."""
        return str(self._pull_request.git_reference) if self._pull_request else "main"

    @property
    def url(self) -> str:
        """Where people look at it."""
        if self._pull_request:
            return str(self._pull_request.url)
        prefix = "datasets/" if self._at["repo_type"] == "dataset" else ""
        return f"{self._api.endpoint}/{prefix}{self._at['repo_id']}"

    def create(self, private: bool) -> None:
        """Make the repository if it isn't there.

        Raises:
            ConfigError: it is to be private, and it is there and public.
        """
        patiently(lambda: self._api.create_repo(**self._at, private=private or None, exist_ok=True), reached=False)
        if private and not patiently(lambda: self._api.repo_info(**self._at)).private:
            fix = "make it private in its settings, or omit --private"
            raise ConfigError(self._at["repo_id"], "the repository is there, and it is public", fix)

    def tree(self) -> dict[str, "RepoFile"]:
        """Return all files that are committed, by path, with their sizes and hashes."""
        from huggingface_hub.hf_api import RepoFile

        found = self._api.list_repo_tree(**self._at, recursive=True, revision=self.revision)
        return {entry.path: entry for entry in found if isinstance(entry, RepoFile)}

    def check_card(self) -> None:
        """See that the card is one that a push made, or says nothing yet.

        Raises:
            ConfigError: somebody wrote it, so the repository holds something else.
        """
        from huggingface_hub.repocard import RepoCard

        with TemporaryDirectory() as folder:
            found = patiently(lambda: self._api.hf_hub_download(filename=CARD, local_dir=folder, **self._at))
            card = RepoCard(Path(found).read_text(encoding="utf-8"), ignore_metadata_errors=True)
        if card.text.strip() and "glitbuild" not in (card.data.get("tags") or []):
            fix = f"give another name; or, to keep that {CARD}, put it into the folder that you push"
            raise ConfigError(self._at["repo_id"], f"it has a {CARD} that glitbuild didn't make", fix)

    def open_pull_request(self, title: str) -> None:
        """Commit to a pull request from now on: an own one of this title that is open, or a new draft."""
        self._pull_request = patiently(lambda: self._own_pull_request(title) or self._new_pull_request(title))
        log.info("push: %s", self._pull_request.url)

    def _own_pull_request(self, title: str) -> Any:
        me = self._api.whoami()["name"]
        found = self._api.get_repo_discussions(**self._at, author=me, discussion_type="pull_request")
        return next((each for each in found if each.title == title and each.status in ("draft", "open")), None)

    def _new_pull_request(self, title: str) -> Any:
        description = "A draft until all files are here. Made with glitbuild push."
        return self._api.create_pull_request(**self._at, title=title, description=description)

    @property
    def is_xet(self) -> bool:
        """Whether objects go to the Hub's Xet storage, by a library that the client has on most machines."""
        from huggingface_hub import constants

        return not constants.HF_HUB_DISABLE_XET and find_spec("hf_xet") is not None

    def store(self, additions: Sequence[Any]) -> None:
        """Send of some files what belongs into the Hub's storage and isn't there."""
        from huggingface_hub import get_session

        get_session().timeout = SECONDS
        self._api.preupload_lfs_files(**self._at, additions=additions, revision=self.revision)

    def commit(self, operations: Sequence[Any], message: str) -> None:
        """Commit files whose stored parts were sent, with the content of those that are small."""
        self._api.create_commit(**self._at, operations=operations, commit_message=message, revision=self.revision)

    def publish(self) -> None:
        """Make the pull request, if that is where files went, one that can be merged."""
        if self._pull_request and self._pull_request.status == "draft":
            change = {"discussion_num": self._pull_request.num, "new_status": "open"}
            patiently(lambda: self._api.change_discussion_status(**self._at, **change))
