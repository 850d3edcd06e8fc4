"""``~`` and ``${VAR}`` in what users write where no shell expands them."""

import os
import re
from collections.abc import Mapping
from typing import Any

from glitbuild.errors import ConfigError

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[^{}]*)\}|(?P<open>\{))")
_NAME = re.compile(r"([A-Za-z_]\w*)(?::-(.*))?", re.DOTALL)


def expand_home(value: Any) -> Any:
    """Return an option's value with a leading ``~`` or ``~user`` as that home directory.

    Lists and tuples are gone through; other values, and homes that aren't known, stay as they are, as in a shell.
    """
    if isinstance(value, str):
        return os.path.expanduser(value) if value.startswith("~") else value  # noqa: PTH111 - it may be a URL's text
    if isinstance(value, list | tuple):
        return type(value)(expand_home(part) for part in value)
    return value


def expand_variables(text: str, where: str, environment: Mapping[str, str]) -> str:
    """Return a text with ``$VAR``, ``${VAR}`` and ``${VAR:-otherwise}`` replaced as in a shell; ``$$`` is a ``$``.

    Args:
        text: as the user wrote it.
        where: names the text in the error.
        environment: the variables.

    Raises:
        ConfigError: a variable is unset or empty and nothing is given instead, or ``${`` isn't followed by a name
            and ``}``.
    """

    def value_of(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        name = _NAME.fullmatch(found["bare"] or found["braced"] or "")
        if name is None:
            fix = "write ${NAME} or ${NAME:-otherwise}, and $$ for a dollar sign"
            raise ConfigError(where, f"{found[0]} names no variable", fix)
        if value := environment.get(name[1], ""):
            return value
        if name[2] is not None:
            return name[2]
        why = f"the variable {name[1]} is {'empty' if name[1] in environment else 'not set'}"
        raise ConfigError(where, why, f"set it, or write ${{{name[1]}:-otherwise}}; $$ is a dollar sign")

    return _VARIABLE.sub(value_of, text)
