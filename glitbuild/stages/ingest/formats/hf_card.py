"""What the card of a dataset says of its files: ``datasets`` would ask whatever address it names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glitbuild.errors import SourceError

CARDS = ("README.md", ".huggingface.yaml")
OF_HUB = "hf://datasets/"


def check_card(spec: str) -> None:
    """Refuse a folder, perhaps one downloaded from the Hub, whose card names files elsewhere than in it.

    Raises:
        SourceError: names the address.
    """
    for card in CARDS:
        path = Path(spec, card)
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        for address in _addresses(_front_matter(text, card)):
            why = f"its {card} names files at {address}, which is not part of it"
            raise SourceError(spec, why, "download them, and give them as files")


def _front_matter(text: str, card: str) -> Any:
    import yaml

    found = re.match(r"\s*---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    try:
        return yaml.safe_load(found.group(1) if found else "" if card.endswith(".md") else text)
    except yaml.YAMLError:
        return None


def _addresses(content: Any) -> Iterator[str]:
    """Yield the addresses among the files and folders of the card's configurations."""
    configs = content.get("configs") if isinstance(content, dict) else None
    for config in configs if isinstance(configs, list) else ():
        if isinstance(config, dict):
            places = [*_texts(config.get("data_files")), *_texts(config.get("data_dir"))]
            yield from (place for place in places if "://" in place and not _is_of_hub(place))


def _is_of_hub(place: str) -> bool:
    return place.startswith(OF_HUB) and "::" not in place


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
