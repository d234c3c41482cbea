"""Each name that a module imports from the project exists: tests that need servers are imported long after a change."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = [path for folder in ("tests", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


def imported(path: Path) -> set[tuple[str, str]]:
    """Return the names that a module imports from `inbox`, each with its module."""
    return {
        (node.module, name.name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "inbox"
        for name in node.names
    }


def exists(module: str, name: str) -> bool:
    if find_spec(module) is None:
        return False
    return hasattr(import_module(module), name) or find_spec(f"{module}.{name}") is not None


def test_each_name_that_a_test_imports_exists() -> None:
    names = {each: path for path in MODULES for each in imported(path)}
    assert len(names) > 500, "the search finds the imports"
    missing = {f"{module}.{name}": str(names[module, name]) for module, name in names if not exists(module, name)}
    assert missing == {}
