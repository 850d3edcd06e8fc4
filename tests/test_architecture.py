"""The house keeps its shape: no circles, nothing from a later stage, and every file is where the page says."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "glitbuild"
STAGES = ("scenes", "ingest", "caption", "match", "train", "evaluate", "blend", "export", "publish")
ABOVE_THE_STAGES = {"__init__", "api", "cli", "commands", "dataset", "demo", "inspection", "pipeline", "reports"}
"""What puts stages together."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(nodes: Iterator[ast.AST]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


MODULES = {name_of(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}


def test_no_module_imports_in_a_circle() -> None:
    graph = {name: imports(iter(tree.body)) & MODULES.keys() - {name} for name, tree in MODULES.items()}
    assert sum(map(len, graph.values())) > len(graph)
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)  # a circle raises CycleError


def test_nothing_imports_from_a_later_stage() -> None:
    assert {path.name for path in (PACKAGE / "stages").iterdir() if (path / "__init__.py").exists()} == set(STAGES)
    wrong = []
    for name, tree in MODULES.items():
        parts = name.split(".")
        if (parts[1:2] and parts[1] in ABOVE_THE_STAGES) or name == "glitbuild":
            continue
        own = STAGES.index(parts[2]) if parts[1] == "stages" and len(parts) > 2 else -1
        for other in imports(ast.walk(tree)) & MODULES.keys():
            stage = re.match(r"glitbuild\.stages\.(\w+)", other)
            if stage and STAGES.index(stage[1]) > own:
                wrong.append(f"{name} imports {other}")
    assert wrong == []


def test_what_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:glitbuild|tests|benchmarks)/[\w/.]*)`", page)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []
