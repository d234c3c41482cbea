"""SECURITY.md: each promise names the tests that hold it, and they exist."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
HEADER = ["who", "is prevented from", "by", "tested by"]
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows(page: str) -> list[list[str]]:
    """The cells of each line of the page's tables."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


PROMISES = rows(PAGE)[2:]


@cache
def functions_of(file: Path) -> frozenset[str]:
    """The names of a file's test functions; none where there is no such file."""
    if not file.is_file():
        return frozenset()
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_")


def lacking(cell: str) -> str | None:
    """What a row's last cell lacks; None where it names tests and nothing else, and all of them exist."""
    if not (named := TEST.findall(cell)):
        return "it names no test"
    if rest := TEST.sub("", cell).strip(", "):
        return f"{rest} is no test"
    for file, function in named:
        found = functions_of(ROOT / file)
        if not found or (function and function not in found):
            return f"there is no {file} {function}".rstrip()
    return None


def test_the_page_is_one_table_of_promises() -> None:
    assert rows(PAGE)[0] == HEADER
    assert len(PROMISES) > 20
    assert [row for row in PROMISES if len(row) != len(HEADER) or not all(row[1:])] == []
    assert len(re.findall(r"^\|[-|]+\|$", PAGE, re.MULTILINE)) == 1


@pytest.mark.parametrize("row", PROMISES, ids=lambda row: f"{row[0]} {row[1]}".strip())
def test_a_promise_names_tests_that_exist(row: list[str]) -> None:
    assert lacking(row[-1]) is None


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "review",
        "`tests/unit/test_absent.py`",
        "`tests/unit/process/test_http.py::test_that_was_renamed`",
        "`tests/support/waiting.py`",
        "`tests/unit/process/test_http.py` and reading",
    ],
)
def test_a_row_without_a_test_is_seen(cell: str) -> None:
    assert lacking(cell) is not None


def test_the_page_has_an_address_once_the_project_has_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    people = [*project.get("authors", []), *project.get("maintainers", [])]
    has_one = "urls" in project or any("email" in person for person in people)

    assert ("has no address for reports yet" in PAGE) is not has_one
