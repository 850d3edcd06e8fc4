"""A repository on the Hub, or a pull request to one, through the Hub's own client."""

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from glitbuild import __version__
from glitbuild.errors import ConfigError
from glitbuild.stages.publish.hub.contents import CARD, Kind
from glitbuild.stages.publish.hub.failures import patiently

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

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
