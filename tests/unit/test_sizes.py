"""Functions stay short, the settler stays small, and the delivery path hands no connection around."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from inbox.sink.settle.settler import Settler

ROOT = Path(__file__).parents[2] / "inbox"
MOST_PARAMETERS = 8
PROMISE_LINES = 35
P90_LINES = 20
STEPS = ["claim_and_apply", "park", "before_fence", "_fence", "after_fence", "commit", "committed"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(root: Path) -> Iterator[tuple[Path, Function]]:
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield path, node


def lines(function: Function) -> int:
    """The lines of a function without its docstring and decorators."""
    first = function.body[0]
    is_documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    documented = (first.end_lineno or first.lineno) - first.lineno + 1 if is_documented else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - documented


def test_nine_functions_of_ten_have_at_most_twenty_lines() -> None:
    sizes = sorted(lines(function) for _, function in functions(ROOT))
    assert len(sizes) > 2000
    assert sizes[len(sizes) * 9 // 10] <= P90_LINES


def test_the_settler_has_at_most_eight_parameters() -> None:
    assert len(inspect.signature(Settler).parameters) <= MOST_PARAMETERS


def test_the_promise_is_one_method_with_its_steps_in_order() -> None:
    source = inspect.getsource(Settler._settle_once)
    assert len(source.splitlines()) <= PROMISE_LINES
    called = [
        node.func.attr
        for node in ast.walk(ast.parse(f"class _:\n{source}"))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    places = [source.index(f".{step}(") for step in STEPS]
    assert set(STEPS) <= set(called)
    assert places == sorted(places)


@pytest.mark.parametrize("room", ["sink/settle", "sink/guards", "sink/worker", "store/inbox"])
def test_a_connection_and_a_schema_are_bound_once(room: str) -> None:
    """Only a constructor takes them; every other method works on what it was built with."""
    handed = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path, function in functions(ROOT / room)
        if function.name != "__init__" and [each.arg for each in function.args.args][:1] == ["self"]
        for parameter in (*function.args.args, *function.args.kwonlyargs)
        if parameter.arg in ("connection", "schema")
    ]
    assert handed == []
