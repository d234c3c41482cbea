"""Write the error of a parked event as two texts: one that may be shown, and one that is payload.

An error of this project says what happened without a value of the event. An error that a handler
raises itself is for the person on call too. Any other exception of a handler may quote the event,
so that only its class and its line are shown. `inbox.store.postgres.error_wording` says what may be
shown of a database error.
"""

import re
from collections.abc import Iterator
from types import CodeType, TracebackType

import psycopg

from inbox.errors import InboxError, error_text
from inbox.store.postgres.error_wording import described, may_hold_values

_MOST_LINKS = 10
_PAYLOAD = re.compile(r"^(?:DETAIL|HINT|CONTEXT|QUERY|WHERE|LINE \d+):|^\[(?:SQL|parameters):", re.MULTILINE)
"""The beginnings of lines at which the payload starts in the errors of psycopg and SQLAlchemy."""

_PACKAGE = __name__.partition(".")[0]


def shown(error: BaseException) -> str:
    """Return the text without payload: the error and its causes, innermost last, one a line."""
    lines: list[str] = []
    for link in _chain(error):
        text, name = _shown_link(link), type(link).__name__
        if lines and text in lines[-1]:
            continue
        lines.append(f"{name}: {text}" if lines and not text.startswith(name) else text)
    return "\n".join(lines)


def kept(error: BaseException) -> str | None:
    """Return the text kept with the payload: all that the chain of errors says beside what is shown."""
    lines = [line for link in _chain(error) for line in _kept_link(link)]
    return "\n".join(lines) or None


def parted(text: str) -> tuple[str, str | None]:
    """Split an earlier version's text of a whole error into what may be shown and the rest."""
    if (payload := _PAYLOAD.search(text)) is None:
        return text, None
    return text[: payload.start()].rstrip() or "...", text[payload.start() :]


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_MOST_LINKS):
        if link is None:
            return
        yield link
        link = link.__cause__


def _shown_link(link: BaseException) -> str:
    if isinstance(link, InboxError):
        return error_text(link)
    if isinstance(link, psycopg.Error):
        return described(link)
    line = _source_line(link.__traceback__)
    return f"{type(link).__name__} in {line}" if line else type(link).__name__


def _kept_link(link: BaseException) -> Iterator[str]:
    name = type(link).__name__
    if isinstance(link, psycopg.Error):
        said = may_hold_values(link)
    elif isinstance(link, InboxError):
        said = None
    else:
        said = error_text(link)
    if said is not None:
        yield said if said.startswith(name) else f"{name}: {said}"
    notes = getattr(link, "__notes__", None)
    yield from (note for note in (notes if isinstance(notes, list) else ()) if isinstance(note, str))


def _source_line(traceback: TracebackType | None) -> str | None:
    """Return the line of the handler's package that raised the error, or that called what raised it."""
    found: tuple[str, CodeType, int] | None = None
    package: str | None = None
    while traceback is not None:
        frame = traceback.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        if package is None and top != _PACKAGE:
            package = top
        if top == package:
            found = module, frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next
    return None if found is None else f"{found[0]}.{found[1].co_qualname}, line {found[2]}"
