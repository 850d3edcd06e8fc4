"""From templates to one HTML file that needs nothing beside it and lets nothing else in."""

import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = files("glitbuild.stages.publish.page") / "templates"


def render(template: str, styles: Sequence[str], script: str = "", **values: Any) -> bytes:
    """Return a page.

    All values are escaped, and a Content-Security-Policy allows the page's own style and script by their hashes,
    and pictures that it holds: nothing in a caption can become markup, and nothing is fetched.

    Args:
        template: its file's name.
        styles: names of the style sheets, in order.
        script: name of the script, if it has one.
        **values: what the template shows.
    """
    style, code = "".join(map(_read, styles)), _read(script) if script else ""
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(code)}; "
        "base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template).render(style=style, script=code, policy=policy, **values)
    return page.encode(errors="replace")  # half a surrogate pair, which no encoding has, must not cost the page


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined)


def _template(name: str) -> str:
    """Return a template without what only indents it: a browser makes a node of each line break between tags."""
    return re.sub(r"\s*\n\s*(?=[<{]|$)", "", _read(name))


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    if not text:
        return "'none'"
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
