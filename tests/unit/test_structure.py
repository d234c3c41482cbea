"""The tree of the package: folders stay small, and a class has a name of its own."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "inbox"
MOST_FILES = 16


def test_no_folder_has_more_files_than_a_reader_takes_in() -> None:
    folders = [PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__")]
    files = {str(folder.relative_to(ROOT)): sum(path.is_file() for path in folder.iterdir()) for folder in folders}

    assert {folder: count for folder, count in files.items() if count > MOST_FILES} == {}


def test_two_classes_have_one_name_only_in_packages_of_operations() -> None:
    """An operation speaks of its own `Request` and `Plan`."""
    modules: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                modules[node.name].append(path.relative_to(PACKAGE))

    repeated = {name: found for name, found in modules.items() if len(found) > 1}
    assert {
        name: found for name, found in repeated.items() if {path.parts[0] for path in found} != {"operations"}
    } == {}


HEADLESS = {"What", "Whether", "Those", "Of", "As", "Which", "Where", "All", "None", "Its", "By", "How", "Who", "Whose"}


def test_no_docstring_begins_without_a_verb_or_a_noun() -> None:
    """CONTRIBUTING.md, "Names and prose": a function's begins with a verb, a class's with an article and a noun."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    found = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, documented) and (text := ast.get_docstring(node)) and text.split()[0] in HEADLESS
    ]
    assert found == []
