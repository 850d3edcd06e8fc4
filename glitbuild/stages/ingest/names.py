"""Two spellings of one file: how names in tars and tables are compared."""


def plain(name: str) -> str:
    """Return a relative path without what leads nowhere: ``./a.jpg`` and ``b//../a.jpg`` are ``a.jpg``.

    A tar's members have no absolute path: what unpacks it takes the slash in front away, and so does this.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def same_file(name: str) -> str:
    """Return what two names of a table have in common where they name one file; an address as it is."""
    if "://" in name:
        return name
    return ("/" if name.startswith("/") else "") + plain(name)
