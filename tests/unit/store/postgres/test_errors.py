"""What a PostgreSQL error means, a case for each kind.

Source of the codes: PostgreSQL manual, appendix A.
"""

import psycopg
import pytest
from psycopg import errors

from inbox.errors import EventError, SmallerBatchError, StartupError, TryAgainError
from inbox.store.postgres.errors import MEANINGS, translate, translate_at_startup


def raised(sqlstate: str, text: str = "what the server said") -> psycopg.Error:
    return errors.lookup(sqlstate)(text)


THE_EVENTS_FAULT = {
    "21000": "cardinality violation",
    "22001": "too long for its column",
    "22003": "numeric value out of range",
    "22007": "invalid datetime format",
    "22008": "datetime field overflow",
    "22012": "division by zero",
    "22021": "character not in repertoire",
    "22023": "invalid parameter value",
    "22P02": "invalid text representation",
    "22P05": "untranslatable character",
    "23502": "not null violation",
    "23503": "foreign key violation",
    "23505": "unique violation",
    "23514": "check violation",
    "23P01": "exclusion violation",
    "44000": "with check option violation",
    "54000": "program limit exceeded",
    "P0001": "raise exception",
    "P0004": "assert failure",
}

AN_OUTAGE = {
    "08000": "connection exception",
    "08003": "connection does not exist",
    "08006": "connection failure",
    "0A000": "feature not supported",
    "25006": "read only: a standby, before its promotion",
    "25P02": "in failed transaction",
    "25P03": "idle in transaction timeout",
    "28000": "invalid authorization",
    "28P01": "invalid password",
    "3D000": "no such database",
    "3F000": "no such schema",
    "40001": "serialization failure",
    "40003": "statement completion unknown",
    "40P01": "deadlock detected",
    "42501": "insufficient privilege",
    "42703": "undefined column",
    "42883": "undefined function",
    "42P01": "undefined table",
    "53100": "disk full",
    "53200": "out of memory",
    "53300": "too many connections",
    "55006": "object in use",
    "55P03": "lock not available",
    "57014": "query canceled",
    "57P01": "admin shutdown",
    "57P02": "crash shutdown",
    "57P03": "cannot connect now",
    "58030": "io error",
    "58P01": "undefined file",
    "72000": "snapshot too old",
    "F0000": "config file error",
    "HV000": "foreign data wrapper",
    "XX000": "internal error",
    "XX001": "data corrupted",
}


FEWER = {"25P03", "25P04", "40P01", "57014"}
"""What a smaller transaction may escape: it took too long, or met another's locks."""


@pytest.mark.parametrize("sqlstate", THE_EVENTS_FAULT)
def test_what_would_fail_again_is_the_events_fault(sqlstate: str) -> None:
    assert type(translate(raised(sqlstate))) is EventError


@pytest.mark.parametrize("sqlstate", [state for state in AN_OUTAGE if state in errors._sqlcodes])  # type: ignore[attr-defined]
def test_what_may_pass_is_an_outage_never_a_dead_letter(sqlstate: str) -> None:
    assert type(translate(raised(sqlstate))) is (SmallerBatchError if sqlstate in FEWER else TryAgainError)


def test_a_state_that_nobody_knows_is_an_outage_that_calls_for_a_person() -> None:
    class Unknown(psycopg.Error):
        sqlstate = "ZZ999"

    failure = translate(Unknown("new in PostgreSQL 30"))
    assert isinstance(failure, TryAgainError)
    assert (failure.away, failure.reason, failure.alert) == ("database", "unknown", True)
    assert str(failure).endswith("; look the SQLSTATE up, and fix what it names")


PASSES_BY_ITSELF = {
    "08006": "connection",
    "25006": "read_only",
    "25P02": "aborted",
    "25P03": "timeout",
    "25P04": "timeout",
    "40001": "conflict",
    "40P01": "conflict",
    "53200": "resources",
    "53300": "resources",
    "55006": "lock",
    "55P03": "lock",
    "57014": "timeout",
    "57P01": "connection",
    "57P02": "connection",
    "57P03": "connection",
    "57P05": "connection",
}

NEEDS_A_PERSON = {
    "0A000": "statement",
    "26000": "pooler",
    "2D000": "statement",
    "28000": "login",
    "28P01": "login",
    "3D000": "login",
    "3F000": "table",
    "42501": "right",
    "42601": "statement",
    "42703": "table",
    "42883": "table",
    "42P01": "table",
    "53100": "disk_full",
    "53400": "resources",
    "55000": "statement",
    "57P04": "login",
    "58030": "server",
    "72000": "unknown",
    "F0000": "unknown",
    "HV000": "unknown",
    "XX000": "server",
    "XX001": "server",
}


@pytest.mark.parametrize(("sqlstate", "reason"), [*PASSES_BY_ITSELF.items(), *NEEDS_A_PERSON.items()])
def test_an_outage_has_a_reason_and_calls_for_a_person_only_where_waiting_may_not_mend_it(
    sqlstate: str, reason: str
) -> None:
    class Raised(psycopg.DatabaseError):
        pass

    Raised.sqlstate = sqlstate
    failure = translate(Raised("what the server said"))
    assert isinstance(failure, TryAgainError)
    assert (failure.away, failure.reason, failure.alert) == ("database", reason, sqlstate in NEEDS_A_PERSON)
    assert ("; " in str(failure)) is failure.alert


def test_every_row_of_the_table_is_held_by_a_case() -> None:
    cases = [*THE_EVENTS_FAULT, *PASSES_BY_ITSELF, *NEEDS_A_PERSON]
    assert {row for row in MEANINGS if not any(case.startswith(row) for case in cases)} == set()


def test_every_state_that_postgresql_has_is_sorted_without_an_exception() -> None:
    kinds = {type(translate(raised(state))) for state in errors._sqlcodes}  # type: ignore[attr-defined]
    assert kinds == {EventError, TryAgainError, SmallerBatchError}


@pytest.mark.parametrize("sqlstate", ["22ZZZ", "23ZZZ", "P0XYZ", "AB123"])
def test_a_state_of_the_users_own_is_sorted_by_its_class(sqlstate: str) -> None:
    """`RAISE ... USING ERRCODE = '22ZZZ'` in a trigger is allowed (PL/pgSQL manual, section 41.9.1)."""

    class Own(psycopg.DatabaseError):
        pass

    Own.sqlstate = sqlstate
    assert type(translate(Own("no"))) is (TryAgainError if sqlstate == "AB123" else EventError)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("the connection is closed"),
        psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly"),
        psycopg.InterfaceError("connection pointer is NULL"),
        psycopg.errors.PipelineAborted("pipeline aborted"),
        psycopg.InternalError("no result available"),
    ],
)
def test_a_client_that_lost_its_server_is_an_outage(error: psycopg.Error) -> None:
    assert type(translate(error)) is TryAgainError


@pytest.mark.parametrize(
    "error",
    [
        psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"),
        psycopg.ProgrammingError("the query has 2 placeholders but 1 parameters were passed"),
    ],
)
def test_a_value_that_cannot_even_be_sent_is_the_events_fault(error: psycopg.Error) -> None:
    assert type(translate(error)) is EventError


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (raised("28000"), "check the user in [database] url"),
        (raised("28P01"), "check the password in [database] url"),
        (raised("3D000"), "check the database's name in [database] url, or create it"),
        (raised("3F000"), "run `inbox migrate`"),
        (raised("42501"), "grant the right to the sink's role"),
        (raised("42P01"), "create the table, or correct its name"),
        (
            psycopg.OperationalError('FATAL:  password authentication failed for user "a"'),
            "check the password in [database] url",
        ),
        (psycopg.OperationalError("fe_sendauth: no password supplied"), "check the password in [database] url"),
        (psycopg.OperationalError('FATAL:  role "a" does not exist'), "check the user in [database] url"),
        (psycopg.OperationalError("FATAL:  no pg_hba.conf entry for host"), "check the user in [database] url"),
        (
            psycopg.OperationalError('FATAL:  database "a" does not exist'),
            "check the database's name in [database] url, or create it",
        ),
    ],
)
def test_what_waiting_does_not_mend_refuses_the_start_with_its_remedy(error: psycopg.Error, remedy: str) -> None:
    failure = translate_at_startup(error, "connecting")
    assert type(failure) is StartupError
    assert str(failure).startswith("connecting: ")
    assert str(failure).endswith(f"; {remedy}")


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("connection refused"),
        psycopg.OperationalError("FATAL:  the database system is starting up"),
        raised("57P03"),
        raised("53300"),
        raised("22P02"),
    ],
)
def test_what_may_pass_is_waited_for_at_the_start(error: psycopg.Error) -> None:
    assert type(translate_at_startup(error, "connecting")) is TryAgainError
