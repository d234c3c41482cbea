"""The loader of statements."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

import inbox.store
from inbox.store import sql as loader
from inbox.store.sql import statements

STORE = Path(inbox.store.__file__).parent
ASKED_FOR = re.compile(r'(?:sql|statements\("\w+", \w+\))\["(\w+)"\]')
TABLES = sorted(each.name.removesuffix(".sql") for each in files(loader).iterdir() if each.name.endswith(".sql"))


def test_there_are_statements() -> None:
    assert {"dead_letters", "partitions", "processed"} <= set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_every_statement_is_used(table: str) -> None:
    source = "".join(path.read_text() for path in STORE.rglob("*.py"))
    used = set(ASKED_FOR.findall(source))
    assert set(statements(table, "inbox")) <= used


def test_no_statement_is_asked_for_that_is_not_there() -> None:
    known = {name for table in TABLES for name in statements(table, "inbox")}
    source = "".join(path.read_text() for path in STORE.rglob("*.py"))
    assert set(ASKED_FOR.findall(source)) <= known


@pytest.mark.parametrize("table", TABLES)
def test_the_schema_is_quoted(table: str) -> None:
    assert all(b'"we ""ird"' in text for text in statements(table, 'we "ird').values())


@pytest.mark.parametrize("table", TABLES)
def test_a_statement_is_one_statement_without_comments(table: str) -> None:
    assert [name for name, text in statements(table, "inbox").items() if b";" in text or b"--" in text] == []


@pytest.fixture(name="one_file")
def one_file_(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that `statements("t", ...)` reads."""
    monkeypatch.setattr(loader, "files", lambda _: tmp_path)
    return tmp_path / "t.sql"


def test_a_statement_without_a_name_is_refused(one_file: Path) -> None:
    one_file.write_text("SELECT 1;\n-- name: a\nSELECT 2;\n")
    with pytest.raises(ValueError, match=r"t\.sql has a statement without a name, or two of one name"):
        statements("t", "inbox")


def test_two_statements_of_one_name_are_refused(one_file: Path) -> None:
    one_file.write_text("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n")
    with pytest.raises(ValueError, match=r"t\.sql has a statement without a name, or two of one name"):
        statements("t", "inbox")


def test_a_comment_before_the_first_statement_is_no_statement(one_file: Path) -> None:
    one_file.write_text("-- What it is for.\n\n-- name: a\n-- And why.\nSELECT 1;\n")
    assert statements("t", "inbox") == {"a": b"SELECT 1"}
