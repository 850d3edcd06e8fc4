"""The ``push`` command: collect the files, upload them, report the result."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import click

from glitbuild.errors import ConfigError, GlitbuildError, visible
from glitbuild.options import Options, about
from glitbuild.stages.publish.hub.failures import client_through_our_log, explained, without_secrets
from glitbuild.stages.publish.hub.remote import CARD, COMMIT_BYTES, Contents, Entry, Remote, chunks
from glitbuild.stages.publish.hub.upload import Sent, Upload, lacking, stale


@dataclass(frozen=True, slots=True)
class PushOptions(Options):
    """Upload a dataset or a model to the Hugging Face Hub, with a card.

    PATH is a finished dataset directory, or the folder of a run or of an export. The token comes from HF_TOKEN or
    from the file that `hf auth login` writes. After an interruption, the same command uploads what is missing.
    """

    path: str = field(metadata=about("Finished dataset directory, or folder of a run or an export.", argument=True))
    repo: str = field(
        metadata=about("Name on the Hub, as NAMESPACE/NAME.", argument=True, metavar="NAMESPACE/NAME")
    )
    private: bool = field(default=False, metadata=about("Create the repository as private, if it doesn't exist."))
    create_pr: bool = field(default=False, metadata=about("Upload to a pull request, which others can merge."))
    license: str = field(
        default="",
        metadata=about("License, as the Hub's identifier.", absent="those of the samples"),
    )
    eval: str = field(
        default="",
        metadata=about(
            "Metrics for the card: a file written by `glitbuild eval --out`, a dataset's with the suite alignment."
        ),
    )
    message: str = field(default="", metadata=about("Message of the last commit, and title of the pull request."))
    dry_run: bool = field(
        default=False,
        metadata=about("Print what would be uploaded, and the card, without network or token."),
    )

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        fix = "give NAMESPACE/NAME, such as anna/birds"
        try:
            validate_repo_id(self.repo)
        except HFValidationError as error:
            raise ConfigError(self.repo, str(error), fix) from error
        if "/" not in self.repo:
            raise ConfigError(self.repo, "not a repository name", fix)
        if self.message and not 3 <= len(self.message.strip()) <= 200:
            raise ConfigError("--message", "it must have 3 to 200 characters", "give another message")


@dataclass(frozen=True, slots=True)
class Pushed:
    """Result of a push.

    Attributes:
        url: URL of the repository, or of the pull request.
        contents: contents of the repository after the push.
        sent: what this push uploaded.
    """

    url: str
    contents: Contents
    sent: Sent


def run_push(options: PushOptions, plain: bool = False) -> Pushed | Contents:
    """Make a repository on the Hub equal to a folder; files that are already there are not uploaded again.

    Args:
        options: options of the command.
        plain: whether to report progress as lines even on a terminal.

    Returns:
        Result of the push; with ``dry_run``, the contents that the repository would have.

    Raises:
        ConfigError: there is nothing to push, there is no token, or the token lacks write access.
        DatasetError: the folder is damaged.
        PushError: the Hub can't be reached, or refuses the upload.
    """
    if options.dry_run:
        return plan_push(options, plain)
    token = _token()
    contents = plan_push(options, plain)
    with client_through_our_log(token):
        try:
            return _push(options, contents, token, plain)
        except Exception as error:
            known = error if isinstance(error, GlitbuildError) else explained(error, options.repo)
            if known is None:
                raise
            raise type(known)(known.what, without_secrets(known.why, token), known.fix) from error


def plan_push(options: PushOptions, plain: bool = False) -> Contents:
    """Return the contents that the repository would have; needs neither the network nor a token.

    Raises:
        ConfigError: there is nothing to push.
        DatasetError: the folder is damaged.
    """
    from glitbuild.shards.store import Store
    from glitbuild.stages.publish.hub.dataset import dataset_contents
    from glitbuild.stages.publish.hub.model import holds_model, model_contents

    if holds_model(Store(options.path)):
        return model_contents(options)
    return dataset_contents(options, plain)


def _push(options: PushOptions, contents: Contents, token: str, plain: bool) -> Pushed:
    message = options.message.strip() or f"Upload {contents.kind} with glitbuild"
    remote = Remote(options.repo, contents.kind, token)
    remote.create(options.private)
    tree = remote.tree()
    card_is_made = any(entry.name == CARD and entry.data is not None for entry in contents.last)
    if CARD in tree and card_is_made:
        remote.check_card()
    if options.create_pr and (lacking(contents, contents, tree) or stale(contents, tree)):
        remote.open_pull_request(message)
    upload = Upload(remote, contents, message, plain)
    upload.run()
    remote.publish()
    return Pushed(remote.url, contents, upload.sent)


def _token() -> str:
    """Return the token from the environment or the login file.

    Raises:
        ConfigError: there is none.
    """
    from huggingface_hub import get_token

    token = get_token()
    if not token:
        fix = "log in with hf auth login, or set HF_TOKEN to a token with write access from the Hub's settings"
        raise ConfigError("push", "there is no token for the Hub, which it needs to upload", fix)
    return token


def print_plan(contents: Contents, options: PushOptions) -> None:
    """Print what a push would upload, and the card."""
    entries = list(contents)
    visibility = "private" if options.private else "public"
    where = "a pull request to " if options.create_pr else ""
    click.echo(f"{where}the {contents.kind} {options.repo} ({visibility} if it is new) would contain")
    for folder, number in Counter(_folder(entry) for entry in entries).items():
        size = sum(entry.size for entry in entries if _folder(entry) == folder)
        click.echo(f"  {folder}: " + (f"{number:,} files, " if folder.endswith("/") else "") + f"{size:,} bytes")
    commits = sum(1 for _ in chunks(contents.first, COMMIT_BYTES)) + 1
    what = f"{len(entries):,} files, {contents.size:,} bytes"
    click.echo(f"{what}, in at most {commits:,} commits; nothing was sent")
    card = next(entry for entry in entries if entry.name == CARD)
    text = card.data if card.data is not None else contents.store.read(CARD)
    click.echo(visible(f"\n{CARD}:\n\n{text.decode()}"))


def print_pushed(pushed: Pushed) -> None:
    """Print the result of a push."""
    number, sent = sum(1 for _ in pushed.contents), pushed.sent
    what = f"{pushed.url}: {number:,} files, {pushed.contents.size:,} bytes"
    if not sent.commits:
        click.echo(f"{what}; all files were already there")
        return
    removed = f", {sent.removed:,} removed" if sent.removed else ""
    how = f"{sent.files:,} files, {sent.bytes:,} bytes sent in {sent.commits:,} commits"
    click.echo(f"{what}; {how}{removed}; verified")


def _folder(entry: Entry) -> str:
    parent = str(PurePosixPath(entry.name).parent)
    return entry.name if parent == "." else f"{parent}/"
