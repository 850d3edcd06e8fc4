"""Generates the schema of pipeline files and the option tables in ``docs/`` from the options' declarations."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glitbuild.commands import COMMANDS
from glitbuild.options import Content, Declared, declared, flag
from glitbuild.stages.evaluate.protocols import ALL

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "schemas" / "pipeline.schema.json"
PAGES = ROOT / "docs"

BLOCK = re.compile(r"<!-- options: (?P<command>[a-z]+)(?: (?P<base>\w+))? -->\n.*?<!-- end -->", re.DOTALL)
"""Option table in a page: of a command's own options, or of those inherited from a base class."""

PROTOCOL_TABLE = re.compile(r"<!-- protocols -->\n.*?<!-- end -->", re.DOTALL)
"""Table of the retrieval protocols in a page."""

JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema() -> dict[str, Any]:
    """Return the JSON schema of a pipeline file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A pipeline file for glitbuild run",
        "type": "object",
        "additionalProperties": False,
        "required": ["stages"],
        "properties": {
            "description": {"type": "string", "description": "description of the pipeline"},
            "stages": {
                "type": "array",
                "minItems": 1,
                "description": "stages, run one after another",
                "items": {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": False,
                    "properties": {
                        name: _stage(name, declared(command.load_options()))
                        for name, command in COMMANDS.items()
                        if command.stage
                    },
                },
            },
        },
    }


def _stage(name: str, options: tuple[Declared, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": f"options of glitbuild {name}",
        "additionalProperties": False,
        "required": [each.name for each in options if each.required],
        "properties": {each.name: _property(each) for each in options},
    }


def _property(option: Declared) -> dict[str, Any]:
    said = option.option
    limits = {
        "minimum": said.least,
        "exclusiveMinimum": said.above,
        "maximum": said.most,
        "exclusiveMaximum": said.below,
    }
    one: dict[str, Any] = {"enum": list(option.choices)} if option.choices else {"type": JSON_TYPES[option.type]}
    if said.numeric:
        one = {"type": [one["type"], "number"]}
    one |= {word: limit for word, limit in limits.items() if limit is not None}
    if said.count:
        one = {"type": "array", "items": one, "minItems": said.count, "maxItems": said.count}
    elif option.several:
        one = {"anyOf": [one, {"type": "array", "items": one, "minItems": int(option.required)}]}
    default = {} if option.required or option.default in (None, (), "") else {"default": option.default}
    return {"description": said.help} | one | default


def table(command: str, base: str | None) -> str:
    """Return a Markdown table of a command's options.

    Args:
        command: name of the command.
        base: name of the class that declares the options; None for the command's own options.
    """
    options = COMMANDS[command].load_options()
    of = next(kind for kind in options.__mro__ if base in (None, kind.__name__))
    shown = [each for each in declared(of) if not each.inherited]
    resumable = any(each.option.content is not Content.NO for each in shown)
    rows = ["| option | default | |", "| --- | --- | --- |"] + [_row(each) for each in shown]
    if resumable:
        said = ["the same" if each.option.content is not Content.NO else "any" for each in shown]
        rows = [f"{row} {cell} |" for row, cell in zip(rows, ["when resumed", "---", *said], strict=True)]
    return "\n".join(rows)


def _row(option: Declared) -> str:
    """Return a row of a table: name, default, and description."""
    said = option.option
    name = said.metavar or option.name.upper() if said.argument else flag(option.name)
    if option.type is bool and (option.nullable or option.default is True):
        name += f"`, `--no-{name[2:]}"
    default = said.absent
    if not default and not option.required and option.default not in (None, "", ()) and option.default is not False:
        default = "yes" if option.default is True else f"`{option.default}`"
    what = [said.help]
    if option.choices:
        what.append(", ".join(f"`{choice}`" for choice in option.choices) + ".")
    if said.limits:
        what.append(said.limits[0].upper() + said.limits[1:] + ".")
    return f"| `{name}` | {default or ('required' if option.required else '')} | {' '.join(what)} |"


def protocol_table() -> str:
    """Return the retrieval protocols as a Markdown table, with the commands that read their corpora."""
    rows = ["| protocol | samples | text | K | defined by |", "| --- | --- | --- | --- | --- |"]
    for each in ALL:
        what = f"{each.what}; {each.samples:,} captions"
        ks = ", ".join(map(str, each.ks))
        rows.append(f"| `{each.name}` | {what} | {each.text} | {ks} | {each.paper} |")
    notes = [f"* `{each.name}`: {each.note}" for each in ALL if each.note]
    commands = ["```text", *(f"{each.ingest.replace('DIR', 'data/' + each.name)}" for each in ALL), "```"]
    return "\n".join([*rows, "", *notes, "", *commands])


def pages() -> Iterator[tuple[Path, str]]:
    """Yield the pages that contain option tables, with the updated text."""
    for path in sorted(PAGES.rglob("*.md")):
        text = path.read_text()
        if BLOCK.search(text) or PROTOCOL_TABLE.search(text):
            made = PROTOCOL_TABLE.sub(lambda _: f"<!-- protocols -->\n{protocol_table()}\n<!-- end -->", text)
            yield path, BLOCK.sub(_block, made)


def _block(found: re.Match[str]) -> str:
    first = found[0].splitlines()[0]
    return f"{first}\n{table(found['command'], found['base'])}\n<!-- end -->"


def schema_text() -> str:
    """Return the text of the schema file."""
    return json.dumps(schema(), ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
    for path, text in pages():
        path.write_text(text)
