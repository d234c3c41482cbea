"""The report of the causes of dead letters."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from inbox.cli.output import timestamp
from inbox.printable import first_of
from inbox.store.inbox.dead_letter_queries import Cause

_MOST_SHOWN, _MOST_NAMED = 4, 3
"""The number of causes that fit a screen together, and of further ones that fit as a line each."""
_LONGEST_ERROR, _SHORT_ERROR, _LONGEST_TOPICS = 170, 50, 45


def causes_json(causes: Sequence[Cause]) -> dict[str, Any]:
    """Return the causes as docs/reference/commands.md describes them."""
    return {"causes": [_cause_json(cause) for cause in causes]}


def causes_lines(causes: Sequence[Cause]) -> list[str]:
    """Return four lines for each of the most frequent causes, and what to do next."""
    if not causes:
        return ["no event is parked; `inbox audit` accounts for every event"]
    total = sum(cause.parked for cause in causes)
    lines = [f"{total} parked {_events(total)}, {len(causes)} {'cause' if len(causes) == 1 else 'causes'}"]
    for cause in causes[:_MOST_SHOWN]:
        lines += _cause_lines(cause)
    if more := causes[_MOST_SHOWN:]:
        lines += ["", *map(_cause_line, more[:_MOST_NAMED])]
    if rest := more[_MOST_NAMED:]:
        lines.append(f"and {len(rest)} more with {sum(cause.parked for cause in rest)} events; --json lists all")
    return lines


def _cause_line(cause: Cause) -> str:
    text = _cut(cause.described.text, _SHORT_ERROR)
    return f"{cause.cause}  {cause.parked} {_events(cause.parked)}, route {cause.route}: {text}"


def _cause_lines(cause: Cause) -> Iterator[str]:
    keys = f"{cause.keys} {'key' if cause.keys == 1 else 'keys'}"
    kind = "" if cause.kind is None else f", {cause.kind}"
    yield ""
    yield f"{cause.cause}  {cause.parked} {_events(cause.parked)} of {keys}{kind}, route {cause.route}"
    yield f"  {cause.error_class}: {_cut(cause.described.text, _LONGEST_ERROR)}"
    yield f"  {_moment(cause.first)} to {_moment(cause.last)} UTC, from {_topics(cause.topics)}"
    yield (
        f"  example: `inbox dead-letters show {cause.example}`; "
        f"if fixed: `inbox dead-letters retry --cause {cause.cause}`"
    )


def _cause_json(cause: Cause) -> dict[str, Any]:
    described = cause.described
    return {
        "cause": cause.cause,
        "kind": cause.kind,
        "route": cause.route,
        "error_class": cause.error_class,
        "error": described.text,
        "sqlstate": described.sqlstate,
        "constraint": described.constraint,
        "column": described.column,
        "parked": cause.parked,
        "keys": cause.keys,
        "first": timestamp(cause.first),
        "last": timestamp(cause.last),
        "topics": list(cause.topics),
        "example": cause.example,
        "next": f"inbox dead-letters retry --cause {cause.cause}",
    }


def _topics(topics: Sequence[str]) -> str:
    """Return the topics, or their number beside the first if they do not fit."""
    all_of_them = ", ".join(topics)
    return all_of_them if len(all_of_them) <= _LONGEST_TOPICS else first_of(topics, 1)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def _events(count: int) -> str:
    return "event" if count == 1 else "events"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
