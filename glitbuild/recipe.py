"""A recipe's YAML: keys that come twice are refused, ``~`` and ``${VAR}`` are expanded."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.errors import ConfigError
from glitbuild.expand import expand_home, expand_variables

if TYPE_CHECKING:
    import yaml


def read_recipe(path: str, environment: Mapping[str, str] = os.environ) -> Any:
    """Read a YAML file, with the values of the stages' options expanded.

    Raises:
        ConfigError: it is missing, isn't YAML, has a key twice, or names a variable that isn't set.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, getattr(error, "strerror", None) or str(error), "give a pipeline file") from error
    try:
        if (root := yaml.compose(text, Loader=yaml.SafeLoader)) is not None:
            _check(root, path, ())
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-13-45
        raise ConfigError(path, f"not YAML ({error})", "mend it") from error
    return _expanded(content, path, environment)


def _check(node: "yaml.Node", path: str, within: tuple["yaml.Node", ...]) -> None:
    """Refuse a key that a mapping has twice, of which YAML takes the last, and an alias of what it stands in."""
    import yaml

    line = node.start_mark.line + 1
    if any(node is outer for outer in within):
        raise ConfigError(f"{path}, line {line}", "an alias within what it stands for", "write it out")
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _check(child, path, (*within, node))
    if isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name, here = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in first:
                why = f"the key {key.value} comes twice, first in line {first[name]}"
                raise ConfigError(f"{path}, line {here}", why, "remove one of them")
            first[name] = here
            _check(value, path, (*within, node))


def _expanded(content: Any, path: str, environment: Mapping[str, str]) -> Any:
    if not isinstance(content, dict) or not isinstance(content.get("stages"), list):
        return content
    stages = []
    for number, stage in enumerate(content["stages"], 1):
        if not isinstance(stage, dict) or not all(isinstance(options, dict) for options in stage.values()):
            return content  # the schema says what is wrong
        stages.append(
            {
                name: {
                    key: _value(value, f"{path}, stage {number}, {key}", environment)
                    for key, value in options.items()
                }
                for name, options in stage.items()
            }
        )
    return content | {"stages": stages}


def _value(value: Any, where: str, environment: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return expand_home(expand_variables(value, where, environment))
    if isinstance(value, list):
        return [_value(part, where, environment) for part in value]
    return value
