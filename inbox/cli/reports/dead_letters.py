"""The reports of dead letters: as JSON, as a table, and one dead letter in full."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from inbox.cli.arguments import readable_key
from inbox.cli.output import timestamp
from inbox.cli.tables import PlainTable
from inbox.events import Record, address_of, as_base64, record_time
from inbox.printable import printable
from inbox.store.inbox.dead_letter_queries import Letter
from inbox.store.inbox.dead_letters import OPEN, EventTooLargeError

_LONGEST_ADDRESS = 24
MOST_LISTED = 20
"""The number of dead letters that a screen lists."""

_MOST_LINES, _MOST_ROWS, _LONGEST_LINE = 3, 6, 160
_LONGEST = {"value": 400, "header": 75, "key": 75}
"""How much of a dead letter a screen shows: lines of each part, and rows and characters of a line."""


def letter_json(letter: Letter, *, payload: bool) -> dict[str, Any]:
    """Return a dead letter as docs/reference/commands.md describes it."""
    record = letter.record
    shown = {
        "id": letter.dead_letter_id,
        "state": letter.state.value,
        "route": letter.route,
        "topic": record.topic(),
        "partition": record.partition(),
        "offset": record.offset(),
        "timestamp": timestamp(record_time(record)),
        "event_id": _event_id(letter),
        "type": letter.type,
        "key": readable_key(record.key()),
        "error_class": letter.error_class,
        "error": letter.error,
        "cause": letter.cause,
        "attempts": letter.attempts,
        "created_at": timestamp(letter.created_at),
        "updated_at": timestamp(letter.updated_at),
        "resolved_at": timestamp(letter.resolved_at),
        "resolved_by": letter.resolved_by,
        "edited_at": timestamp(letter.edited_at),
        "edited_by": letter.edited_by,
        "redacted_at": timestamp(letter.redacted_at),
    }
    return {**shown, "payload": _payload(letter)} if payload else shown


def letters_table(letters: Sequence[Letter]) -> PlainTable:
    """Return a table with one line for each dead letter, and the first line of its error."""
    table = PlainTable()
    table.add_columns("id", justify="right")
    table.add_columns("state", "route", "from", "key", "type", "error")
    table.add_columns("attempts", justify="right")
    table.add_columns("parked (UTC)")
    for letter in letters:
        table.add_row(*map(printable, _cells(letter)))
    return table


def brief_row(letter: Letter) -> list[str]:
    """Return what is needed to choose among many dead letters, the first line of the error last."""
    number, state, route, at, key = _cells(letter)[:5]
    return [
        number,
        state,
        route,
        at if len(at) <= _LONGEST_ADDRESS else f"...{at[3 - _LONGEST_ADDRESS :]}",
        key,
        _error(letter),
    ]


def letter_lines(letter: Letter, *, payload: bool, screen: bool = False) -> list[str]:
    """Return every field of a dead letter, a line each. The cause of an error is indented under the error.

    For a screen, what is long is cut, and says so.
    """
    record = letter.record
    fields = {
        "dead letter": str(letter.dead_letter_id),
        "state": letter.state.value,
        "route": letter.route,
        "from": address_of(record),
        "timestamp": timestamp(record_time(record)),
        "event id": _event_id(letter),
        "type": letter.type,
        "key": readable_key(record.key()),
        "cause": letter.cause,
        "attempts": str(letter.attempts),
        "parked": timestamp(letter.created_at),
        "last changed": timestamp(letter.updated_at),
        "resolved": f"{timestamp(letter.resolved_at)} by {letter.resolved_by}" if letter.resolved_at else None,
    }
    if letter.edited_at is not None:
        fields["edited"] = f"{timestamp(letter.edited_at)} by {letter.edited_by}"
    if letter.redacted_at is not None:
        fields["redacted"] = f"{timestamp(letter.redacted_at)}: its payload is gone"
    lines = [f"{name + ':':<13} {'none' if text is None else printable(text)}" for name, text in fields.items()]
    parts = [lines, _error_lines(letter)]
    if payload:
        parts += [_detail_lines(letter), _header_lines(letter), *([line] for line in _value_lines(letter))]
    elif letter.has_detail:
        parts.append([f"{'detail:':<13} kept, --payload shows it"])
    if screen:
        parts[1:] = map(_on_screen, parts[1:])
        parts[0] = [_cut(line) for line in lines if not line.endswith(" none")]
    return [*(line for part in parts for line in part), *_next_lines(letter)]


def _on_screen(lines: list[str]) -> list[str]:
    """Return as much of a part of a dead letter as a screen has room for."""
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"and {len(lines) - _MOST_LINES} more lines; --json shows all"]
    return [_cut(line) for line in lines]


def _cut(line: str) -> str:
    rows = line.split("\n")
    longest = next((most for begin, most in _LONGEST.items() if line.startswith(begin)), _LONGEST_LINE)
    if len(rows) <= _MOST_ROWS and len(line) <= longest:
        return line
    kept = "\n".join(rows[:_MOST_ROWS])[:longest]
    return f"{kept}... ({len(line)} characters)"


def _next_lines(letter: Letter) -> list[str]:
    """Return the commands with which a person resolves an open dead letter."""
    if letter.state not in OPEN:
        return []
    this = letter.dead_letter_id
    alike = "" if letter.cause is None else f", or `--cause {letter.cause}` for all that failed alike"
    return [
        f"{'next:':<13} once it is fixed, `inbox dead-letters retry {this}`{alike};",
        f"{'':<13} `edit {this} --value FILE` replaces its value, `discard {this}` gives it up",
    ]


def _error_lines(letter: Letter) -> list[str]:
    first, *causes = (printable(line) for line in letter.error.split("\n"))
    return [f"{'error:':<13} {letter.error_class}: {first}", *(f"{'':<13} from {cause}" for cause in causes)]


def _detail_lines(letter: Letter) -> list[str]:
    if letter.error_detail is None:
        return []
    first, *more = (printable(line) for line in letter.error_detail.split("\n"))
    return [f"{'detail:':<13} {first}", *(f"{'':<13} {line}" for line in more)]


def _cells(letter: Letter) -> list[str]:
    record = letter.record
    key = readable_key(record.key())
    return [
        str(letter.dead_letter_id),
        letter.state.value,
        letter.route,
        address_of(record),
        "none" if key is None else key,
        letter.type or "",
        _error(letter),
        str(letter.attempts),
        _moment(letter.created_at),
    ]


def _error(letter: Letter) -> str:
    return letter.error.partition("\n")[0]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _event_id(letter: Letter) -> str | None:
    return str(UUID(bytes=letter.event_id)) if letter.event_id else None


def _payload(letter: Letter) -> dict[str, Any]:
    record = letter.record
    original = letter.original
    return {
        "key": as_base64(record.key()),
        "value": as_base64(record.value()),
        "headers": _headers_json(record),
        "error_detail": letter.error_detail,
        **(
            {"original": {"value": as_base64(original.value()), "headers": _headers_json(original)}} if original else {}
        ),
    }


def _headers_json(record: Record) -> list[list[str | None]]:
    return [[name, as_base64(value)] for name, value in record.headers() or ()]


def _header_lines(letter: Letter) -> list[str]:
    return [f"header {printable(name)}: {_shown(value)}" for name, value in letter.record.headers() or ()]


def _value_lines(letter: Letter) -> list[str]:
    original = [] if letter.original is None else [f"value that came: {_shown(letter.original.value())}"]
    in_log = letter.error_class == EventTooLargeError.__name__ and letter.original is None
    value = "in the log only" if in_log else _shown(letter.record.value())
    return [f"key: {_shown(letter.record.key())}", f"value: {value}", *original]


def _shown(value: bytes | None) -> str:
    """Return the value as text with further lines indented, or in hexadecimal if it is not printable text."""
    if value is None:
        return "null"
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"\\x{value.hex()}"
    if not all(each.isprintable() or each in "\n\t" for each in text):
        return f"\\x{value.hex()}"
    return text.replace("\n", "\n    ")
