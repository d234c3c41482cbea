"""Separate the parts of a database error that anybody may read from those that may hold values of an event.

PostgreSQL names tables, columns and constraints in the messages of some errors, and quotes values
in those of others. DETAIL, HINT and CONTEXT may quote a whole row. Functions and triggers of the
user may say anything.

Source: PostgreSQL manual, section 55.8 "Error and Notice Message Fields".
"""

import re
from collections.abc import Iterator

import psycopg
from psycopg import errors

_NAMES_ALONE = ("08", "21", "23", "25", "26", "28", "3D", "40", "44", "53", "55P03", "57")
"""Codes, and classes of codes, whose messages name objects of the database and quote no value."""

_OF_A_STATEMENT = ("3F", "42")
"""Classes whose messages quote a name from the statement if they give a position in it, and otherwise maybe a value."""

_QUOTES_SYNTAX = "42601"
"""A code whose message quotes any part of the statement, which may be a value that the handler wrote into it."""

_SAYS_ANYTHING = ("22", "2F", "38", "39", "HV", "P0")
"""Classes whose messages quote the value, or come from a function's author or from another server."""

_OWN_FUNCTIONS = frozenset({"outbox_refuse_update", "guard_ledger", "switch_generation", "drop_generation"})
"""The project's functions that raise: their messages quote no value."""

_LANGUAGES = frozenset({"pl_exec.c", "plpy_elog.c", "plperl.c", "Util.c", "pltcl.c", "plv8.cc", "plv8_func.cc"})
"""Source files that raise the error which a function's author wrote in such a language, with any code."""

_QUOTED = re.compile(r"[\"'`«»‹›„“”‘’「」].*[\"'`«»‹›„“”‘’「」]", re.DOTALL)  # noqa: RUF001 - the quotes of translations
_FUNCTION = re.compile(r"^PL/pgSQL function (\S+(?:\([^()\"']*\))?) line (\d+) at ", re.MULTILINE)
_UNSENT = re.compile(r"PostgreSQL text fields cannot contain NUL|cannot adapt type|the query has \d+ placeholders?")
"""The messages of psycopg about parameters that it cannot send because of their type or number."""


def described(error: psycopg.Error) -> str:
    """Return one line with the SQLSTATE and the objects concerned, without any value of an event."""
    if error.sqlstate is None:
        text = " ".join(str(error).split())
        return text if text and not _quotes_a_parameter(error, text) else type(error).__name__
    return f"{_readable(error)}{''.join(_places(error))} ({error.sqlstate})"


def may_hold_values(error: psycopg.Error) -> str | None:
    """Return the rest of the error's text; None where nothing is left."""
    diag, said = error.diag, error.diag.message_primary or str(error)
    if error.sqlstate is None:
        return said if " ".join(said.split()) not in described(error) else None
    lines = [] if _readable(error) == said else [said]
    further = {"DETAIL": diag.message_detail, "HINT": diag.message_hint, "CONTEXT": diag.context}
    lines += [f"{name}: {text}" for name, text in further.items() if text]
    return "\n".join(lines) or None


def _readable(error: psycopg.Error) -> str:
    """Return the primary message where it holds no value, and otherwise the meaning of the SQLSTATE."""
    state, said = error.sqlstate or "", error.diag.message_primary
    if said is None:  # the client raised it, not the server
        return _spoken(state)
    if _function_of(error).rpartition(".")[2].partition("(")[0] in _OWN_FUNCTIONS:
        return said
    if state.startswith(_SAYS_ANYTHING) or error.diag.source_file in _LANGUAGES:
        return _spoken(state)
    if state == _QUOTES_SYNTAX:
        return f"syntax error at character {error.diag.statement_position or 'unknown'} of the statement"
    if state.startswith(_NAMES_ALONE) or (state.startswith(_OF_A_STATEMENT) and error.diag.statement_position):
        return said
    return _QUOTED.sub("...", said)


def _places(error: psycopg.Error) -> Iterator[str]:
    """Yield the objects that the error concerns and that its message does not name."""
    diag, said = error.diag, _readable(error)
    if said == diag.message_primary:
        return
    named = {"in column": diag.column_name, "in constraint": diag.constraint_name, "of table": diag.table_name}
    if diag.source_file not in _LANGUAGES:  # here an author may have put anything into these fields
        yield from (f' {where} "{name}"' for where, name in named.items() if name and name not in said)
    if (found := _FUNCTION.search(diag.context or "")) is not None:
        yield f" in the function {found[1]}, line {found[2]}"


def _function_of(error: psycopg.Error) -> str:
    """Return the name of the PL/pgSQL function that raised the error, with its schema; "" if none did."""
    found = _FUNCTION.match(error.diag.context or "")
    return found[1] if found is not None else ""


def _quotes_a_parameter(error: psycopg.Error, text: str) -> bool:
    """Return whether the client's error quotes a parameter, rather than only its type or number."""
    return isinstance(error, psycopg.DataError | psycopg.ProgrammingError) and _UNSENT.match(text) is None


def _spoken(state: str) -> str:
    """Return the meaning of a SQLSTATE, such as `invalid text representation`."""
    try:
        name = errors.lookup(state).__name__
    except KeyError:
        name = "Error"  # a function may raise a SQLSTATE of its own
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
