"""The rules on a route's envelope: what it needs, and what has a meaning in it alone."""

from inbox.reading.options import Envelope, Truncates
from inbox.settings.document import RouteSection
from inbox.settings.problems import Path
from inbox.settings.validation import Review
from inbox.store.options import Tombstones

_NEEDED = {
    **dict.fromkeys(("$op", "$ts", "$before:", "$source:"), Envelope.DEBEZIUM),
    "$ce:": Envelope.CLOUDEVENTS,
}
"""The envelope that has a source, by the source's beginning."""


def review_envelope(review: Review, path: Path, route: RouteSection) -> None:
    """Note what does not fit the route's envelope."""
    if review.is_broken((*path, "envelope")):
        return
    _review_sources(review, path, route)
    is_debezium = route.envelope is Envelope.DEBEZIUM
    if is_debezium and "event_id" not in route.model_fields_set and not review.is_broken((*path, "event_id")):
        review.blame(
            (*path, "event_id"),
            'missing; Debezium sends no id with a change; set event_id = "debezium" to make one of its place in the '
            'source\'s log, or "coordinates"',
        )
    if route.event_id == "debezium" and not is_debezium:
        review.blame((*path, "event_id"), '"debezium" reads the change events of envelope = "debezium"; add that')
    if "truncates" in route.model_fields_set and not is_debezium:
        review.blame((*path, "truncates"), 'has an effect only with envelope = "debezium"; add that, or leave it out')
    elif route.truncates is Truncates.APPLY and route.table is not None:
        _review_truncates(review, path, route)


def _review_sources(review: Review, path: Path, route: RouteSection) -> None:
    """Note each column whose source only another envelope has."""
    for name, column in ((route.table and route.table.columns) or {}).items():
        needed = next((each for starts, each in _NEEDED.items() if (column.from_ or "").startswith(starts)), None)
        where = (*path, "table", "columns", name)
        if needed is not None and route.envelope is not needed and not review.is_broken_within(where):
            review.blame(
                where, f'{column.from_} is a source of envelope = "{needed}"; set that, or choose another source'
            )


def _review_truncates(review: Review, path: Path, route: RouteSection) -> None:
    if len(route.topics or ()) > 1:
        review.blame(
            (*path, "truncates"),
            '"apply" deletes all rows of the table, also those that come from the other topics of the route; give '
            "each topic a route and a table of its own",
        )
    if review.is_broken_within((*path, "table")) or route.tombstones is Tombstones.DELETE:
        return
    review.blame(
        (*path, "truncates"),
        '"apply" deletes all rows of the table, and this route deletes none; expected ignore or error, or '
        '[routes.table] tombstones = "delete"',
    )
