"""What the package's own code never does, seen in its source."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "inbox").rglob("*.py"), *(ROOT / "migrations").rglob("*.py")])
MODULES = {"pickle", "marshal", "shelve", "dill", "yaml", "code", "codeop", "runpy", "imp"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "builtins.eval", "builtins.exec"}


def deeds(source: str) -> Iterator[str]:
    """What a source does that can turn data into code."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names if each.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in MODULES:
                yield module
            case ast.Call(func=function, keywords=keywords):
                if ast.unparse(function) in CALLS:
                    yield ast.unparse(function)
                if any(each.arg == "shell" for each in keywords):
                    yield "shell"


GENERATES = "inbox/reading/formats/avro/program.py"
"""The one module that runs generated text. No data is in it: `test_the_program_holds_no_word_of_the_schema`."""


def test_nothing_turns_data_into_code() -> None:
    found = {path.relative_to(ROOT).as_posix(): list(deeds(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert {path: each for path, each in found.items() if each} == {GENERATES: ["exec", "compile"]}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "import yaml",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_what_would_is_seen(source: str) -> None:
    assert list(deeds(source))


WRITES = re.compile(
    r"\.write_(?:text|bytes)\(|os\.open\(|(?<!fd)open\([^)\n]*[\"'][wax]b?\+?[\"']|mkstemp\(|NamedTemporaryFile\("
)


def test_one_module_alone_writes_files_that_a_command_is_asked_for() -> None:
    """`inbox.dev` and `inbox.testing` write into directories of their own; the program opens the null device.

    `inbox new handler` writes a package into a directory that is new or empty.
    """
    places = [path.relative_to(ROOT / "inbox") for path in SOURCES if path.is_relative_to(ROOT / "inbox")]
    writing = {str(path) for path in places if WRITES.search((ROOT / "inbox" / path).read_text(encoding="utf-8"))}

    of_commands = {path for path in writing if not path.startswith(("dev/", "testing/"))}
    assert of_commands == {"operations/private_file.py", "operations/new_handler/generate.py", "cli/program.py"}


def test_statements_are_no_text_from_outside() -> None:
    """Ruff's S608 refuses SQL that is put together from values, and psycopg's types refuse all but literals."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lint = pyproject["tool"]["ruff"]["lint"]

    assert "S" in lint["select"]
    assert lint["ignore"] == ["S603"]
    assert not [path for path, rules in lint["per-file-ignores"].items() if "inbox" in path and "S608" in rules]
    assert pyproject["tool"]["pyright"]["include"] == ["inbox"]
    allowed = [path.name for path in SOURCES if "noqa: S608" in path.read_text(encoding="utf-8")]
    assert allowed == ["0005_generations.py"], "a name from the revision itself; nothing else"
