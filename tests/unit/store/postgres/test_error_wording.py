"""What anybody may read of a database error, and what is kept with the payload."""

from typing import Any

import psycopg
import pytest
from psycopg import errors

from inbox.store.postgres.error_wording import described, may_hold_values

FIELDS = (
    *("message_primary", "message_detail", "message_hint", "context", "statement_position", "source_file"),
    *("column_name", "constraint_name", "table_name"),
)
SECRET = "geheim"


def said(sqlstate: str, message: str, **fields: str) -> psycopg.Error:
    """An error as the server sends it."""
    given: dict[str, Any] = {**dict.fromkeys(FIELDS), "message_primary": message, **fields}
    kind = errors.lookup(sqlstate) if sqlstate in errors._sqlcodes else psycopg.DatabaseError  # type: ignore[attr-defined]
    made = type(kind.__name__, (kind,), {"sqlstate": sqlstate, "diag": type("Diagnostic", (), given)})
    return made(message)


RAISE = {"source_file": "pl_exec.c", "context": "PL/pgSQL function public.look(integer) line 3 at RAISE"}
PLACE = " in the function public.look(integer), line 3"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (said("22P02", f'invalid input syntax: "{SECRET}"'), "invalid text representation (22P02)"),
        (
            said("22003", "numeric field overflow", column_name="amount"),
            'numeric value out of range in column "amount" (22003)',
        ),
        (
            said("23505", 'duplicate key value violates "orders_pkey"'),
            'duplicate key value violates "orders_pkey" (23505)',
        ),
        (said("P0001", SECRET, **RAISE), f"raise exception{PLACE} (P0001)"),
        (said("23505", SECRET, **RAISE, column_name=SECRET, table_name=SECRET), f"unique violation{PLACE} (23505)"),
        (said("40001", SECRET, **RAISE), f"serialization failure{PLACE} (40001)"),
        (said("U0001", SECRET, **RAISE), f"error{PLACE} (U0001)"),
        (said("38000", SECRET, source_file="plpy_elog.c"), "external routine exception (38000)"),
        (
            said("42P01", 'relation "orders" does not exist', statement_position="8"),
            'relation "orders" does not exist (42P01)',
        ),
        (said("42P01", f'relation "{SECRET}" does not exist'), "relation ... does not exist (42P01)"),
        (said("42704", f"Typ »{SECRET}« existiert nicht"), "Typ ... existiert nicht (42704)"),
        (
            said("42601", f'syntax error at or near "{SECRET}"', statement_position="8"),
            "syntax error at character 8 of the statement (42601)",
        ),
        (
            said("42601", f'syntax error in tsquery: "{SECRET}"'),
            "syntax error at character unknown of the statement (42601)",
        ),
        (said("54000", f'word is too long in tsquery: "{SECRET}"'), "word is too long in tsquery: ... (54000)"),
        (said("42501", "permission denied for table orders"), "permission denied for table orders (42501)"),
        (errors.UniqueViolation(SECRET), "unique violation (23505)"),
        (psycopg.DataError(f"can't parse date '{SECRET}'"), "DataError"),
        (
            psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
            "PostgreSQL text fields cannot contain NUL (0x00) bytes",
        ),
        (psycopg.OperationalError("lost\n  it"), "lost it"),
        (psycopg.OperationalError(), "OperationalError"),
    ],
)
def test_a_message_is_shown_as_far_as_it_holds_no_value(error: psycopg.Error, text: str) -> None:
    assert described(error) == text
    assert SECRET not in described(error)


@pytest.mark.parametrize(
    "error",
    [
        said("22P02", f'invalid input syntax: "{SECRET}"'),
        said("P0001", SECRET, **RAISE),
        said("23505", "duplicate key", message_detail=f"Key (id)=({SECRET}) already exists."),
        said("23505", "duplicate key", message_hint=SECRET),
        said("23505", "duplicate key", context=SECRET),
        errors.UniqueViolation(SECRET),
        psycopg.DataError(f"can't parse date '{SECRET}'"),
    ],
)
def test_what_is_not_shown_is_kept(error: psycopg.Error) -> None:
    assert SECRET in str(may_hold_values(error))


@pytest.mark.parametrize(
    "error", [said("23505", "duplicate key"), psycopg.OperationalError("lost it"), psycopg.OperationalError()]
)
def test_what_is_shown_is_not_kept_twice(error: psycopg.Error) -> None:
    assert may_hold_values(error) is None
