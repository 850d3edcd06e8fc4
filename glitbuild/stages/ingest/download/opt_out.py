"""What servers say of machines that collect pictures: the header ``X-Robots-Tag``."""

from collections.abc import Iterable

DISALLOWED = ("noai", "noimageai", "noindex", "noimageindex", "none")
"""The directives that img2dataset heeds, and ``none``, which stands for ``noindex, nofollow``."""

VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
"""Directives with a value behind a colon, where otherwise a robot's name is in front of one."""


def opted_out(headers: Iterable[str], names: Iterable[str]) -> str | None:
    """Return the first directive by which a server asks not to use its picture, or None.

    Args:
        headers: the values of all ``X-Robots-Tag`` headers: directives separated by commas, in front of them
            perhaps the name of the robot they are for (``glitbuild: noai``), which holds up to the next name.
        names: by which this robot may be called, in lower case; directives for others don't count.
    """
    own = set(names)
    for header in headers:
        concerned = True
        for part in header.lower().split(","):
            name, colon, directive = part.partition(":")
            if colon and name.strip() not in VALUED:
                concerned = name.strip() in own
                part = directive
            if concerned and part.strip() in DISALLOWED:
                return part.strip()
    return None
