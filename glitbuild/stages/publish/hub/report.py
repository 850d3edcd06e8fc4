"""What ``glitbuild push`` prints."""

from collections import Counter
from pathlib import PurePosixPath

import click

from glitbuild.stages.publish.hub.command import Pushed, PushOptions
from glitbuild.stages.publish.hub.contents import CARD, COMMIT_BYTES, Contents, Entry, chunks


def print_plan(contents: Contents, options: PushOptions) -> None:
    """Print what a push would send, and the card."""
    entries = list(contents)
    visibility = "private" if options.private else "public"
    where = "a pull request to " if options.create_pr else ""
    click.echo(f"{where}the {contents.kind} {options.repo} ({visibility} if it is new) would hold")
    for folder, number in Counter(_folder(entry) for entry in entries).items():
        size = sum(entry.size for entry in entries if _folder(entry) == folder)
        click.echo(f"  {folder}: " + (f"{number:,} files, " if folder.endswith("/") else "") + f"{size:,} bytes")
    commits = sum(1 for _ in chunks(contents.first, COMMIT_BYTES)) + 1
    what = f"{len(entries):,} files, {contents.size:,} bytes"
    click.echo(f"{what}, in at most {commits:,} commits; nothing was sent")
    card = next(entry for entry in entries if entry.name == CARD)
    text = card.data if card.data is not None else contents.store.read(CARD)
    click.echo(f"\n{CARD}:\n\n{text.decode()}")


def print_pushed(pushed: Pushed) -> None:
    """Print what a push came to."""
    number, sent = sum(1 for _ in pushed.contents), pushed.sent
    what = f"{pushed.url}: {number:,} files, {pushed.contents.size:,} bytes"
    if not sent.commits:
        click.echo(f"{what}; all were there")
        return
    removed = f", {sent.removed:,} removed" if sent.removed else ""
    how = f"{sent.files:,} files, {sent.bytes:,} bytes sent in {sent.commits:,} commits"
    click.echo(f"{what}; {how}{removed}; verified")


def _folder(entry: Entry) -> str:
    parent = str(PurePosixPath(entry.name).parent)
    return entry.name if parent == "." else f"{parent}/"
