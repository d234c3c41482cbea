"""The trace context of an event, in the one form that is taken: W3C Trace Context, "traceparent Header", version 00.

Anything else is passed over in silence: a client of the application chose it, or somebody who may
write to the topic. `tracestate`, which has no bound that its senders keep, is never read or sent.
"""

import re
from typing import NamedTuple

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_LENGTH = 55


class TraceParent(NamedTuple):
    """A span of another process."""

    trace_id: int
    span_id: int
    flags: int


def trace_parent(text: str | bytes) -> TraceParent | None:
    """Return the span that the text names, or None if the text has another form or an id of zeros."""
    if len(text) != _LENGTH:
        return None
    found = _TRACEPARENT.fullmatch(text if isinstance(text, str) else text.decode("latin-1"))
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return TraceParent(trace_id, span_id, flags) if trace_id and span_id else None


def sent_traceparent(text: str | None) -> str | None:
    """Return the text as it may be sent with an event, or None."""
    return text if text is not None and trace_parent(text) is not None else None
