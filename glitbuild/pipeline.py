"""Pipeline files of ``glitbuild run``: strict parsing of YAML with variables, and running the stages in order."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glitbuild.commands import COMMANDS
from glitbuild.errors import ConfigError, StageError
from glitbuild.options import Options, about
from glitbuild.reports import report
from glitbuild.shards.layout import misfit

if TYPE_CHECKING:
    import yaml


_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|(?P<bare>[A-Za-z_]\w*)|\{(?P<braced>[^{}]*)\}|(?P<open>\{))")
_NAME = re.compile(r"([A-Za-z_]\w*)(?::-(.*))?", re.DOTALL)


def expand_home(value: Any) -> Any:
    """Return an option's value with a leading ``~`` or ``~user`` expanded to that home directory.

    Lists and tuples are expanded element by element; other values and unknown users are unchanged, as in a shell.
    """
    if isinstance(value, str):
        return os.path.expanduser(value) if value.startswith("~") else value  # noqa: PTH111 - it may be a URL's text
    if isinstance(value, list | tuple):
        return type(value)(expand_home(part) for part in value)
    return value


def expand_variables(text: str, where: str, environment: Mapping[str, str]) -> str:
    """Expand ``$VAR``, ``${VAR}`` and ``${VAR:-otherwise}`` in a text as a shell does; ``$$`` becomes ``$``.

    Args:
        text: text as the user wrote it.
        where: position of the text, for error messages.
        environment: variables by name.

    Raises:
        ConfigError: a variable is unset or empty and has no fallback, or ``${`` isn't followed by a name and ``}``.
    """

    def value_of(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        name = _NAME.fullmatch(found["bare"] or found["braced"] or "")
        if name is None:
            fix = "write ${NAME} or ${NAME:-otherwise}, and $$ for a dollar sign"
            raise ConfigError(where, f"{found[0]} is not a variable", fix)
        if value := environment.get(name[1], ""):
            return value
        if name[2] is not None:
            return name[2]
        why = f"the variable {name[1]} is {'empty' if name[1] in environment else 'not set'}"
        raise ConfigError(where, why, f"set it, or write ${{{name[1]}:-otherwise}}; write $$ for a dollar sign")

    return _VARIABLE.sub(value_of, text)


def read_recipe(path: str, environment: Mapping[str, str] = os.environ) -> Any:
    """Read a YAML file, and expand variables and home directories in the options of its stages.

    Raises:
        ConfigError: the file is missing, isn't valid YAML, has a repeated key, or uses a variable that isn't set.
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
        raise ConfigError(path, f"not valid YAML ({error})", "correct the file") from error
    return _expanded(content, path, environment)


def _check(node: "yaml.Node", path: str, within: tuple["yaml.Node", ...]) -> None:
    """Refuse repeated keys, of which YAML would silently take the last, and aliases that contain themselves."""
    import yaml

    line = node.start_mark.line + 1
    if any(node is outer for outer in within):
        raise ConfigError(f"{path}, line {line}", "an alias that contains itself", "write out its content instead")
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _check(child, path, (*within, node))
    if isinstance(node, yaml.MappingNode):
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name, here = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in first:
                why = f"the key {key.value} is repeated; it is first given in line {first[name]}"
                raise ConfigError(f"{path}, line {here}", why, "remove one of them")
            first[name] = here
            _check(value, path, (*within, node))


def _expanded(content: Any, path: str, environment: Mapping[str, str]) -> Any:
    if not isinstance(content, dict) or not isinstance(content.get("stages"), list):
        return content
    stages = []
    for number, stage in enumerate(content["stages"], 1):
        if not isinstance(stage, dict) or not all(isinstance(options, dict) for options in stage.values()):
            return content  # the check against the schema will report what is wrong
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


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline: the name of a command, and its options as that command's dataclass."""

    name: str
    options: Any


def load_pipeline(path: str) -> list[Stage]:
    """Read a pipeline file and check it against ``schemas/pipeline.schema.json``.

    Raises:
        ConfigError: the file is missing, isn't valid YAML, has a repeated key, uses an unset variable, or doesn't
            conform to the schema.
    """
    content = read_recipe(path)
    if problem := misfit("pipeline", content):
        raise ConfigError(path, problem, "see schemas/pipeline.schema.json")
    stages = [(name, options) for stage in content["stages"] for name, options in stage.items()]
    return [Stage(name, COMMANDS[name].load_options()(**options)) for name, options in stages]


def run_pipeline(stages: list[Stage], plain: bool = False) -> Iterator[tuple[Stage, Any]]:
    """Run the stages in order and yield the result of each; stages that are already finished do nothing.

    Raises:
        ConfigError: a stage's options conflict with existing files, and no stage before it has written anything.
        StageError: a stage's options conflict with existing files, and a stage before it has written something.
    """
    _check_before(stages)
    written = False
    for number, stage in enumerate(stages, 1):
        try:
            result = run_stage(stage, plain)
        except ConfigError as error:
            if not written:
                raise
            what = f"stage {number} ({stage.name}): {error.what}"
            raise StageError(what, error.why, f"{error.fix}; the stages before this one are finished") from error
        written = written or not getattr(result, "done_before", False)
        yield stage, result


def _check_before(stages: list[Stage]) -> None:
    """Check what can be checked before any stage runs, so that it doesn't fail after hours of earlier stages."""
    for stage in stages:
        if stage.name == "caption":
            from glitbuild.stages.caption.endpoint import read_prompt, require_openai

            require_openai()
            read_prompt(stage.options.prompt)


def run_stage(stage: Stage, plain: bool = False) -> Any:
    """Run one stage and return its command's result."""
    return COMMANDS[stage.name].load_run()(stage.options, plain)


@dataclass(frozen=True, slots=True)
class RunOptions(Options):
    """Run the stages of a PIPELINE file; finished stages are skipped."""

    pipeline: str = field(metadata=about("YAML file with the stages.", argument=True))


def run_file(options: RunOptions, plain: bool = False) -> None:
    """Run the stages of a pipeline file, and print the result of each.

    Raises:
        ConfigError: same as in ``load_pipeline`` and ``run_pipeline``.
        StageError: same as in ``run_pipeline``.
    """
    for stage, result in run_pipeline(load_pipeline(options.pipeline), plain):
        report(stage.name, stage.options, result)
