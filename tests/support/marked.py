"""The ways in which an event can fail, each with a value that marks it. The handlers run in processes of `inbox`."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import text

from inbox import Event, EventError, HaltError, Transaction, TryAgainError

DIES = "TESTS_MARKED_HANDLER_DIES"
"""An environment variable: where it is set, the handler ends its process if an event asks for that."""

TABLES = """
CREATE DOMAIN calm AS text CHECK (VALUE NOT LIKE 'bad%');
CREATE TYPE mood AS ENUM ('fine');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE parents (id text PRIMARY KEY);
CREATE TABLE marked (
    id bigint PRIMARY KEY, required text NOT NULL, whole int, amount numeric(4, 2), moment timestamptz,
    short varchar(4), parent text REFERENCES parents, once text UNIQUE, checked text CHECK (checked NOT LIKE 'bad%'),
    alone text, domained calm, mood mood, pair pair, source text, made int GENERATED ALWAYS AS (source::int) STORED,
    raised text, EXCLUDE USING btree (alone WITH =)
);
CREATE FUNCTION refuse(code text, said text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF code <> '' THEN
        RAISE WARNING 'looked at %', said;
        RAISE EXCEPTION 'refused %', said USING ERRCODE = code, DETAIL = said, HINT = said, COLUMN = said,
            CONSTRAINT = said, TABLE = said;
    END IF;
END $$;
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.raised IS NOT NULL THEN PERFORM public.refuse('P0001', NEW.raised); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER look BEFORE INSERT ON marked FOR EACH ROW EXECUTE FUNCTION look();
"""

COLUMNS = [
    *("id", "required", "whole", "amount", "moment", "short", "parent", "once"),
    *("checked", "alone", "domained", "mood", "pair", "source", "raised"),
]

ROWS: Mapping[str, str] = {
    "whole": "{}",
    "amount": "{}",
    "moment": "{}",
    "short": "{}",
    "parent": "{}",
    "once": "{}",
    "checked": "bad {}",
    "alone": "{}",
    "domained": "bad {}",
    "mood": "{}",
    "pair": "{}",
    "source": "{}",
    "raised": "{}",
}
"""A value for each column of a table route that its table refuses; rows with `once` and `alone` exist before."""


class Statement(NamedTuple):
    """A statement of a handler that the database refuses with a marked value, and accepts with another."""

    query: str
    bad: tuple[Any, ...]
    good: tuple[Any, ...]


_REFUSE = "SELECT public.refuse(%s, %s)"
_INSERT = "INSERT INTO public.marked (id, required, {}) VALUES (%s, 'x', %s)"


def _cast(to: str, good: str, bad: str = "{}") -> Statement:
    return Statement(f"SELECT %s::text::{to}", (bad,), (good,))


STATEMENTS: Mapping[str, Statement] = {
    **{
        f"raise {code}": Statement(_REFUSE, (code, "{}"), ("", ""))
        for code in (
            "P0001",
            "P0002",
            "22P02",
            "22012",
            "23502",
            "23503",
            "23505",
            "23514",
            "42P01",
            "40001",
            "0A000",
            "55000",
            "XX000",
            "U0001",
            "38000",
        )
    },
    "cast to int": _cast("int", "1"),
    "cast to numeric": _cast("numeric(4, 2)", "1", "12345.{}"),
    "cast to date": _cast("timestamptz", "2026-01-01"),
    "cast to interval": _cast("interval", "1 day"),
    "cast to uuid": _cast("uuid", "00000000-0000-0000-0000-000000000001"),
    "cast to json": _cast("jsonb", "1"),
    "cast to inet": _cast("inet", "127.0.0.1"),
    "cast to array": _cast("int[]", "{1}", "{}"),
    "cast to pair": _cast("public.pair", "(1,x)"),
    "cast to mood": _cast("public.mood", "fine"),
    "cast to domain": _cast("public.calm", "x", "bad {}"),
    "cast to regclass": _cast("regclass", "pg_class", '"{}"'),
    "cast to regtype": _cast("regtype", "int", '"{}"'),
    "cast to tsquery": _cast("tsquery", "a", "a b {}"),
    "cast to jsonpath": _cast("jsonpath", "$.a", "$.a b {}"),
    "zone": Statement("SELECT now() AT TIME ZONE %s", ("{}",), ("UTC",)),
    "pattern": Statement("SELECT 'a' ~ %s", ("{}[",), ("a",)),
    "NUL": Statement("SELECT %s::text", ("{}\0",), ("x",)),
    "too long": Statement(_INSERT.format("short"), (1001, "{}"), (1002, "x")),
    "not null": Statement("INSERT INTO public.marked (id, short) SELECT %s, 'x' WHERE %s <> ''", (1003, "{}"), (1, "")),
    "foreign key": Statement(_INSERT.format("parent"), (1004, "{}"), (1005, None)),
    "unique": Statement(_INSERT.format("once"), (1006, "{}"), (1007, "other")),
    "check": Statement(_INSERT.format("checked"), (1008, "bad {}"), (1009, "x")),
    "exclusion": Statement(_INSERT.format("alone"), (1010, "{}"), (1011, "other")),
}
"""The statements; `{}` stands for the mark."""


class UnspeakableError(Exception):
    """An error whose own text cannot be produced."""

    def __str__(self) -> str:
        raise ValueError(self.args)


async def _later(mark: str) -> None: ...


def _raise(error: BaseException, cause: BaseException | None = None) -> None:
    raise error from cause


def _noted(mark: str) -> None:
    error = EventError("no stock")
    error.add_note(mark)
    raise error


def _in_alchemy(mark: str, tx: Transaction) -> None:
    tx.connection.execute(text("SELECT CAST(:given AS int)"), {"given": mark})


def _not_adapted(mark: str, tx: Transaction) -> None:
    tx.connection.execute(text("SELECT :given"), {"given": ValueError(mark)})


def _caught(mark: str, tx: Transaction) -> None:
    try:
        with tx.connection.begin_nested():
            tx.connection.execute(text("SELECT CAST(:given AS int)"), {"given": mark})
    except Exception as error:
        raise ValueError(f"{error}, of {mark}") from error


RAISED: Mapping[str, Callable[[str, Transaction], Any]] = {
    "text": lambda mark, tx: _raise(ValueError(mark)),
    "key error": lambda mark, tx: {}[mark],
    "conversion": lambda mark, tx: int(mark),
    "cause": lambda mark, tx: _raise(EventError("no stock"), ValueError(mark)),
    "causes": lambda mark, tx: _raise(RuntimeError(mark), KeyError(mark)),
    "note": lambda mark, tx: _noted(mark),
    "exit": lambda mark, tx: _raise(SystemExit(mark)),
    "group": lambda mark, tx: _raise(ExceptionGroup(mark, [ValueError(mark)])),
    "unspeakable": lambda mark, tx: _raise(UnspeakableError(mark)),
    "awaitable": lambda mark, tx: _later(mark),
    "psycopg": lambda mark, tx: _raise(psycopg.errors.UniqueViolation(mark)),
    "SQLAlchemy": _in_alchemy,
    "SQLAlchemy, not adapted": _not_adapted,
    "SQLAlchemy, caught": _caught,
    "publish": lambda mark, tx: tx.publish(mark, mark, type=mark, key=mark),
}

_away: set[str] = set()


def handle(event: Event, tx: Transaction) -> object:
    """Fail as the event says."""
    document = event.json()
    how, mark = document["how"], document["mark"]
    if how in STATEMENTS:
        statement = STATEMENTS[how]
        values = statement.bad if document["bad"] else statement.good
        tx.execute(statement.query, [each.replace("{}", mark) if isinstance(each, str) else each for each in values])
        return None
    if how == "again" and how not in _away:
        _away.add(how)
        raise TryAgainError("the shop is away") from ValueError(mark)
    if how == "halt":
        raise HaltError("the shop is closed") from ValueError(mark)
    if how == "dies" and DIES in os.environ:
        os._exit(9)
    return RAISED[how](mark, tx) if how in RAISED else None
