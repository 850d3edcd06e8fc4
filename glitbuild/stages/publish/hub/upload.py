"""Makes a repository equal to a folder: upload missing files, verify them, then mark the whole as complete."""

import logging
import shutil
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from glitbuild.engine.progress import Progress
from glitbuild.errors import DatasetError, PushError
from glitbuild.shards.layout import shard_of
from glitbuild.shards.reader import VALIDATE
from glitbuild.stages.publish.hub.failures import patiently
from glitbuild.stages.publish.hub.remote import COMMIT_BYTES, GROUP_BYTES, Contents, Entry, Remote, chunks

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile


Tree = dict[str, "RepoFile"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sent:
    """What a push did: files and bytes uploaded, number of commits, and files of an earlier version removed."""

    files: int = 0
    bytes: int = 0
    commits: int = 0
    removed: int = 0


def lacking(contents: Contents, entries: Iterable[Entry], tree: Tree) -> list[Entry]:
    """Return the files that a repository lacks or has with different content."""
    return [entry for entry in entries if not _is_there(contents, entry, tree.get(entry.name))]


def stale(contents: Contents, tree: Tree) -> list[str]:
    """Return the files of an earlier version of a dataset that this version doesn't have."""
    if contents.kind != "dataset":
        return []
    return sorted(name for name in tree.keys() - contents.names if shard_of(name) or name in contents.marks)


def _is_there(contents: Contents, entry: Entry, found: "RepoFile | None") -> bool:
    if found is None or found.size != entry.size:
        return False
    if found.lfs:
        return bool(found.lfs.sha256 == entry.sha256)
    return bool(found.blob_id == entry.blob_id(contents.store))


class Upload:
    """Uploads files in commits of many; files already committed or in the Hub's storage are not sent again.

    Args:
        remote: repository to upload to.
        contents: target contents of the repository.
        message: message of the last commit; the other messages name their files.
        plain: whether to report progress as lines even on a terminal.
    """

    def __init__(self, remote: Remote, contents: Contents, message: str, plain: bool) -> None:
        self._remote, self._contents, self._message, self._plain = remote, contents, message, plain
        self._shown = 0
        self.sent = Sent()

    def run(self) -> None:
        """Upload until the repository is as it should be.

        Raises:
            DatasetError: a file differs from what its sidecar describes.
            PushError: what arrived differs from what was sent.
        """
        total = sum(1 for _ in self._contents)
        with Progress("push", total, self._plain, "files") as self._progress:
            patiently(self._send_what_is_lacking, progress=lambda: self.sent.commits)

    def _send_what_is_lacking(self) -> None:
        tree = self._remote.tree()
        missing = lacking(self._contents, self._contents.first, tree)
        self._show(len(self._contents.first) - len(missing))
        marks = [name for name in self._contents.marks if name in tree] if missing else []
        for chunk in chunks(missing, COMMIT_BYTES):
            self._commit(chunk, marks, f"{self._message}: {chunk[0].name} to {chunk[-1].name}")
            marks = []
        if missing:
            tree = self._remote.tree()
            self._check(self._contents.first, tree)
        last, removed = lacking(self._contents, self._contents.last, tree), stale(self._contents, tree)
        if last or removed:
            self._commit(last, removed, self._message)
            self.sent.removed = len(removed)
            self._check(self._contents, self._remote.tree())
        self._show(sum(1 for _ in self._contents))

    def _commit(self, entries: Sequence[Entry], removed: Sequence[str], message: str) -> None:
        from huggingface_hub import CommitOperationDelete

        size = sum(entry.size for entry in entries)
        log.info("push: uploading %d files, %.1f MB", len(entries), size / 1e6)
        local = self._contents.store.is_local  # no copies are needed, so a kill leaves nothing behind
        with nullcontext("") if local else TemporaryDirectory(prefix="glitbuild-push-") as folder:
            operations: list[Any] = [CommitOperationDelete(name, is_folder=False) for name in removed]
            for group in chunks(entries, GROUP_BYTES if self._remote.is_xet else COMMIT_BYTES):
                additions = [
                    self._addition(entry, Path(folder) / str(len(operations) + i)) for i, entry in enumerate(group)
                ]
                self._remote.store(additions)
                self._check_sent(group, additions)
                operations += additions
            self._remote.commit(operations, message)
        for entry in entries:
            log.debug("push: %s has arrived", entry.name)
        self.sent.files += len(entries)
        self.sent.bytes += size
        self.sent.commits += 1
        self._show(self._shown + len(entries))

    def _addition(self, entry: Entry, copy: Path) -> Any:
        """Return a file in the form that the client needs.

        Args:
            entry: file to upload.
            copy: path to which a file that isn't local may be copied.
        """
        from huggingface_hub import CommitOperationAdd

        if entry.data is not None:
            return CommitOperationAdd(entry.name, entry.data)
        store = self._contents.store
        path = Path(store.path(entry.name))
        if not store.is_local:
            path = copy
            with store.open(entry.name) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        return CommitOperationAdd(entry.name, path)

    def _check_sent(self, entries: Sequence[Entry], additions: Sequence[Any]) -> None:
        """Check that the files have not changed since they were verified; the client has hashed what it sent."""
        for entry, addition in zip(entries, additions, strict=True):
            if addition.upload_info.sha256.hex() != entry.sha256:
                why = "its content is not the one that was written (SHA-256)"
                raise DatasetError(self._contents.store.path(entry.name), why, VALIDATE)

    def _check(self, entries: Iterable[Entry], tree: Tree) -> None:
        if wrong := lacking(self._contents, entries, tree):
            more = f" and {len(wrong) - 1:,} more files" if len(wrong) > 1 else ""
            why = f"{wrong[0].name}{more} did not arrive as sent"
            raise PushError(self._remote.url, why, "run the same command again, which uploads only what is missing")

    def _show(self, done: int) -> None:
        if done > self._shown:
            self._progress.advance(done - self._shown)
            self._shown = done
