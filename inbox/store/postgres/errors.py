"""The meaning of each PostgreSQL error for the event and the sink, in one table.

Source: PostgreSQL manual, appendix A "PostgreSQL Error Codes". An error that the table does not
know is an outage that is reported, never a dead letter.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

import psycopg
from psycopg import errors

from inbox.errors import EventError, Guess, InboxError, Refusal, SmallerBatchError, StartupError, TryAgainError
from inbox.store.postgres.error_wording import described


class Consequence(Enum):
    """The response of the sink, in the words of docs/reference/errors.md."""

    PARK = "parks the event"
    WAIT = "waits"
    FEWER = "tries again with fewer events at a time"
    ALERT = "waits, and needs an operator"


@dataclass(frozen=True)
class ErrorMeaning:
    """The meaning of a SQLSTATE or of a class of them; `reason` is the label of `inbox_retries_total`."""

    what: str
    consequence: Consequence
    reason: str = ""
    remedy: str = ""


MEANINGS: Mapping[str, ErrorMeaning] = {
    "08": ErrorMeaning("connection lost", Consequence.WAIT, "connection"),
    "0A": ErrorMeaning(
        "not supported, or a plan older than the table",
        Consequence.ALERT,
        "statement",
        "see whether the table was altered",
    ),
    "21": ErrorMeaning("cardinality violation", Consequence.PARK),
    "22": ErrorMeaning("a value that does not fit", Consequence.PARK),
    "23": ErrorMeaning("a constraint is violated", Consequence.PARK),
    "25006": ErrorMeaning("read-only: a standby before its promotion", Consequence.WAIT, "read_only"),
    "25P02": ErrorMeaning("the transaction was aborted before", Consequence.WAIT, "aborted"),
    "25P03": ErrorMeaning("idle in transaction for too long", Consequence.FEWER, "timeout"),
    "25P04": ErrorMeaning("the transaction took too long", Consequence.FEWER, "timeout"),
    "26": ErrorMeaning(
        "a prepared statement is gone",
        Consequence.ALERT,
        "pooler",
        "a pooler between needs PgBouncer 1.22 or session pooling",
    ),
    "28": ErrorMeaning("login refused", Consequence.ALERT, "login", "check the user in [database] url"),
    "28P01": ErrorMeaning("password refused", Consequence.ALERT, "login", "check the password in [database] url"),
    "2D": ErrorMeaning(
        "a function would end the transaction",
        Consequence.ALERT,
        "statement",
        "remove COMMIT and ROLLBACK from the function: the sink ends its transactions itself",
    ),
    "3D": ErrorMeaning(
        "the database is gone", Consequence.ALERT, "login", "check the database's name in [database] url, or create it"
    ),
    "3F": ErrorMeaning("the schema is gone", Consequence.ALERT, "table", "run `inbox migrate`"),
    "40": ErrorMeaning("rolled back: serialization failure", Consequence.WAIT, "conflict"),
    "40P01": ErrorMeaning("deadlock with another transaction", Consequence.FEWER, "conflict"),
    "42": ErrorMeaning(
        "the statement does not fit the database",
        Consequence.ALERT,
        "statement",
        "correct the statement, or the database",
    ),
    "42501": ErrorMeaning("right revoked", Consequence.ALERT, "right", "grant the right to the sink's role"),
    "42703": ErrorMeaning("column gone", Consequence.ALERT, "table", "add the column, or correct its name"),
    "42883": ErrorMeaning("function gone", Consequence.ALERT, "table", "create the function, or correct its arguments"),
    "42P01": ErrorMeaning("table gone", Consequence.ALERT, "table", "create the table, or correct its name"),
    "44": ErrorMeaning("WITH CHECK OPTION violated", Consequence.PARK),
    "53": ErrorMeaning("out of memory, too many connections", Consequence.WAIT, "resources"),
    "53100": ErrorMeaning("disk full", Consequence.ALERT, "disk_full", "make room on the database's disk"),
    "53400": ErrorMeaning(
        "a configured limit is reached", Consequence.ALERT, "resources", "raise the limit in the database"
    ),
    "54": ErrorMeaning("a program limit is exceeded", Consequence.PARK),
    "55": ErrorMeaning(
        "an object is not in the state for it", Consequence.ALERT, "statement", "see what was changed in the database"
    ),
    "55006": ErrorMeaning("an object is in use", Consequence.WAIT, "lock"),
    "55P03": ErrorMeaning("a lock was not acquired in time", Consequence.WAIT, "lock"),
    "57": ErrorMeaning("the server shuts down, crashed, or starts up", Consequence.WAIT, "connection"),
    "57014": ErrorMeaning("cancelled, or slower than statement_timeout", Consequence.FEWER, "timeout"),
    "57P04": ErrorMeaning("the database was dropped", Consequence.ALERT, "login", "create the database again"),
    "58": ErrorMeaning(
        "the server's system failed: a disk, a file", Consequence.ALERT, "server", "look at the server's log"
    ),
    "P0": ErrorMeaning("raised by a function or trigger", Consequence.PARK),
    "XX": ErrorMeaning("internal error, corrupt data", Consequence.ALERT, "server", "look at the server's log"),
}
"""The meanings by SQLSTATE, or else by its first two characters."""

ABOUT_TYPES = ("42725", "42804", "42846", "42883", "42P08", "42P18")
"""Codes that a value of the wrong type can cause as well: a list where the column expects a number."""

UNKNOWN = ErrorMeaning("any other", Consequence.ALERT, "unknown", "look the SQLSTATE up, and fix what it names")

_LOST = ErrorMeaning("no SQLSTATE: no connection", Consequence.WAIT, "connection")

_REFUSED_AT_START = ("28000", "28P01", "3D000", "3F000", "42501", "42P01")
"""Codes that waiting does not fix."""

_OF_TLS = (
    "certificate verify failed",
    "does not match host name",
    "certificate file",
    "private key file",
    "SSL was required",
    "alert certificate",
    "alert unknown ca",
)
"""Words of libpq and OpenSSL on a handshake that fails, and will fail the next time; it has no SQLSTATE."""

_TLS_REMEDY = (
    "check sslmode, sslrootcert, sslcert and sslkey in [database] url, and the server's certificate: "
    "its authority, its dates, the host that it names"
)

_RAISED = "exec_stmt_raise"
"""The C function in which PL/pgSQL raises what a function's author wrote, with any code."""

_PARTITIONS = ("ExecFindPartition", "ExecPartitionCheckEmitError")
"""The C functions in which PostgreSQL raises 23514 for a row that no partition takes."""

_MISSED = ("23503", "P0002")
"""Codes for a missing row that another event may bring: time decides, however many events miss rows."""

_OTHER_ROWS = ("23505", "23P01")
"""Codes that depend on other rows, so that no other event shows whose fault the failure is."""

_CANCELLED = "57014"

_OUT_OF_NUMBERS = "2200H"
"""A sequence that reached its end; its code is in the class of values."""

_OF_THE_SERVER = (
    *("08", "25006", "25P02", "25P03", "25P04", "26", "28", "3D", "40", "53000", "53100", "53200", "53300"),
    *("55006", "55P03", "57", "58"),
)
"""Codes, and classes of codes, that affect the next statement, whatever it is: they are not evidence about any
event.
"""

_ENDS_THE_SESSION = ("FATAL", "PANIC")

_REASONS = {"23": "constraint", "44": "constraint", "P0": "raised"}
"""The labels of outages whose code alone blames the event, by class."""

_OF_VALUES = "22"
"""The class of values that their column or their statement cannot take."""

_ROW_SECURITY = "ExecWithCheckOptions"
"""The C function that raises 42501 for a row that a policy refuses; missing rights are raised elsewhere."""


def translate(error: psycopg.Error, limit: str | None = None) -> InboxError:
    """Return this project's error for `error` once the sink runs, unless evidence says otherwise.

    `limit` says how long a statement may take, for the error of one that took longer.
    """
    meaning, guess = meaning_of(error.sqlstate), _guess(error)
    if guess in (Guess.VALUE, Guess.EVENT, Guess.NO_PARTITION):
        ours: InboxError = EventError(described(error))
    else:
        text = f"{described(error)}; {limit}" if limit and error.sqlstate == _CANCELLED else described(error)
        ours = _waits(UNKNOWN if meaning.consequence is Consequence.PARK else meaning, text)
    ours.refusal = Refusal(
        guess,
        error.sqlstate or "",
        meaning.reason or _REASONS.get((error.sqlstate or "")[:2], "statement"),
        error.diag.table_name,
        error.diag.column_name,
        error.diag.constraint_name,
    )
    return ours


def _guess(error: psycopg.Error) -> Guess:
    """Return the first guess.

    Where PL/pgSQL raised the error, its author chose the code, which says little of the server.
    """
    if _is_of_a_value(error):
        return Guess.VALUE
    state, source = error.sqlstate, error.diag.source_function
    if state is None or error.diag.severity_nonlocalized in _ENDS_THE_SESSION:
        return Guess.SERVER
    consequence = meaning_of(state).consequence
    if (
        consequence is Consequence.PARK
        or source == _ROW_SECURITY
        or (source == _RAISED and consequence is Consequence.ALERT)
    ):
        return _guess_of_a_row(error)
    if source != _RAISED and (state in _OF_THE_SERVER or state[:2] in _OF_THE_SERVER):
        return Guess.SERVER
    return Guess.DATABASE


def _guess_of_a_row(error: psycopg.Error) -> Guess:
    state, source = error.sqlstate or "", error.diag.source_function
    if source in _PARTITIONS:
        return Guess.NO_PARTITION
    if state == _OUT_OF_NUMBERS:
        return Guess.DATABASE
    if state in _MISSED:
        return Guess.VALUE
    by_function = source == _RAISED or " function " in f" {error.diag.context or ''}"
    if not by_function and (state in _OTHER_ROWS or state.startswith(_OF_VALUES)):
        return Guess.VALUE
    return Guess.EVENT


def meaning_of(sqlstate: str | None) -> ErrorMeaning:
    """Return the meaning of a SQLSTATE; the client raises errors without one."""
    if sqlstate is None:
        return _LOST
    return MEANINGS.get(sqlstate) or MEANINGS.get(sqlstate[:2], UNKNOWN)


def _waits(meaning: ErrorMeaning, text: str) -> TryAgainError:
    alert = meaning.consequence is Consequence.ALERT
    kind = SmallerBatchError if meaning.consequence is Consequence.FEWER else TryAgainError
    return kind(f"{text}; {meaning.remedy}" if alert else text, away="database", reason=meaning.reason, alert=alert)


def translate_at_startup(error: psycopg.Error, doing: str, said: str | None = None) -> InboxError:
    """Translate as `translate`, but to a StartupError what only a person can fix.

    `doing` says what was tried, `said` what the translated error says of a statement that took too long.
    """
    state = error.sqlstate or _state_in(error) or None
    meaning, text = meaning_of(state), f"{doing}: {said if said and state == _CANCELLED else described(error)}"
    if state in _REFUSED_AT_START:
        return StartupError(f"{text}; {meaning.remedy}")
    if error.sqlstate is None and any(words in str(error) for words in _OF_TLS):
        return StartupError(f"{text}; {_TLS_REMEDY}")
    if meaning.consequence is Consequence.PARK:
        return TryAgainError(text, away="database", reason="unknown", alert=True)
    return _waits(meaning, text)


def is_unique_violation(error: InboxError) -> bool:
    """Return whether a plain INSERT failed on an existing row, which ON CONFLICT may overwrite or leave."""
    return isinstance(error.__cause__, errors.UniqueViolation | errors.ExclusionViolation)


def is_foreign_key_violation(error: InboxError) -> bool:
    """Return whether a row is missing that another event may bring; a statement is checked as a whole at its end.

    A trigger that looks a row up reports this by the code of a foreign key, or by NO_DATA_FOUND.
    """
    return isinstance(error.__cause__, errors.ForeignKeyViolation | errors.NoDataFound)


def is_cardinality_violation(error: InboxError) -> bool:
    """Return whether one statement was to write a row twice."""
    return isinstance(error.__cause__, errors.CardinalityViolation)


def is_connection_loss(error: TryAgainError) -> bool:
    """Return whether the connection to the database was lost."""
    return error.refusal is not None and error.reason == _LOST.reason


def is_of_one_event(error: InboxError) -> bool:
    """Return whether the one event of the failed statement may be at fault, so that finding out is worthwhile."""
    if error.refusal is None:
        return isinstance(error, EventError)
    return error.refusal.guess is not Guess.SERVER


@contextmanager
def translating_errors(limit: str | None = None) -> Iterator[None]:
    """Translate the errors of what psycopg does by itself, such as BEGIN, into this project's."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, limit) from error


def _is_of_a_value(error: psycopg.Error) -> bool:
    """Return whether the client could not even send the parameters."""
    if error.sqlstate is not None or isinstance(error, errors.PipelineAborted):
        return False
    return isinstance(error, psycopg.DataError | psycopg.ProgrammingError)


def _state_in(error: psycopg.Error) -> str:
    """Return the SQLSTATE of a failed login, for which libpq gives only a text and no field."""
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return "28P01"
    if "pg_hba.conf" in text or "valid client certificate" in text or "certificate authentication failed" in text:
        return "28000"
    if "role" in text and "does not exist" in text:
        return "28000"
    if "database" in text and "does not exist" in text:
        return "3D000"
    return ""
