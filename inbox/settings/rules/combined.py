"""The rules that join several keys: a command's needs, guards of delivery, names that must differ."""

from collections import Counter

from inbox.failure_policy import CopyFormat
from inbox.kafka.options import GUARDED, LOADS_CODE, PRODUCER_GUARDED
from inbox.kafka.secret_names import LOGIN_IN_URL, is_secret
from inbox.settings.document import OutboxSection
from inbox.settings.environment import ways_to_set
from inbox.settings.librdkafka import KNOWN, canonical
from inbox.settings.librdkafka_values import wrong_value
from inbox.settings.problems import Path, hint, quote, show_path
from inbox.settings.rules.envelopes import review_envelope
from inbox.settings.rules.formats import review_format, review_registry
from inbox.settings.rules.outbox_format import review_outbox_format
from inbox.settings.rules.route_conflicts import review_conflicts
from inbox.settings.rules.routes import review_route
from inbox.settings.sources import FLAG
from inbox.settings.validation import Review
from inbox.store.options import OutboxEnvelope, RelayKind

_GUARDED = {**GUARDED, **PRODUCER_GUARDED}
_BOOLEANS = {"1": "true", "t": "true", "0": "false", "f": "false"}  # rd_kafka_conf_set() takes these too

_PATH: Path = ("outbox",)


def review(subject: Review, needed: frozenset[str]) -> None:
    """Note every problem that shows only when settings are seen together."""
    _review_needs(subject, needed)
    _review_kafka(subject)
    _review_credentials(subject)
    review_registry(subject)
    for index, route in enumerate(subject.document.routes):
        review_route(subject, ("routes", index), route)
        review_conflicts(subject, ("routes", index), route)
        review_envelope(subject, ("routes", index), route)
        review_format(subject, ("routes", index), route)
    _review_route_names(subject)
    _review_copies(subject)
    _review_once_compacted(subject)
    _review_same_id(subject)
    if subject.document.outbox is not None:
        review_outbox(subject, subject.document.outbox)


def _review_needs(subject: Review, needed: frozenset[str]) -> None:
    document = subject.document
    values = {
        ("sink", "name"): document.sink.name,
        ("database", "url"): document.database.url,
        ("kafka", "bootstrap.servers"): document.kafka.get(
            "bootstrap.servers", document.kafka.get("metadata.broker.list")
        ),
    }
    for path, value in values.items():
        if path[0] in needed and subject.missing(path, value):
            subject.problems.add(show_path(path), f"missing; {ways_to_set(path, subject.layers.file)}")
    if document.http is not None and subject.missing(("http", "listen"), document.http.listen):
        subject.blame(("http", "listen"), 'missing, while [http] is there; expected "host:port", or no [http] at all')
    if "routes" in needed and not document.routes and not subject.is_broken(("routes",)):
        subject.problems.add("routes", f"missing; add at least one [[routes]] to {subject.layers.file}")
    if "outbox" in needed and document.outbox is None and not subject.is_broken(("outbox",)):
        subject.problems.add("outbox", f"missing; add [outbox] to {subject.layers.file} and run inbox migrate")


def _review_kafka(subject: Review) -> None:
    seen: dict[str, str] = {}
    for name, value in subject.document.kafka.items():
        path = ("kafka", name)
        if canonical(name) in seen:
            subject.blame(path, f"means the same as {seen[canonical(name)]}, which is there too; keep one")
        seen[canonical(name)] = name
        if name not in KNOWN:
            subject.blame(path, f"librdkafka has no such property{hint(name, KNOWN)}")
        elif canonical(name) in _GUARDED:
            _review_guarded(subject, path, value)
        elif canonical(name) in LOADS_CODE and subject.layers.origin(path) != FLAG:
            subject.blame(
                path,
                "makes every command that reads it run native code or a shell command of its own; give it as "
                f"-X {name}=... where the process is started, so that only the person who starts it decides",
            )
        elif not is_secret(name) and LOGIN_IN_URL.search(value):
            subject.blame(path, "holds a password, which librdkafka shows in its errors; give a URL without one")
        elif name == "transactional.id":
            subject.blame(
                path, "only the relay has one; set [outbox] transactional_id, and start it with --transactional"
            )
        elif not value.strip() and canonical(name) in {"bootstrap.servers", "group.id"}:
            subject.blame(path, "is empty")
        elif (expected := wrong_value(name, value)) is not None:
            subject.blame(path, expected)


def _review_credentials(subject: Review) -> None:
    """Note a provider of tokens that librdkafka would never ask."""
    path, kafka = ("credentials", "kafka"), subject.document.kafka
    if subject.document.credentials.kafka is None:
        return
    given = {canonical(name): value.strip() for name, value in kafka.items()}
    if given.get("sasl.mechanisms", "").upper() != "OAUTHBEARER":
        subject.blame(path, 'gives tokens, which only [kafka] "sasl.mechanisms" = "OAUTHBEARER" uses; set it')
    elif given.get("sasl.oauthbearer.method", "default").lower() == "oidc":
        subject.blame(path, 'gives tokens, and so does [kafka] "sasl.oauthbearer.method" = "oidc"; keep one')


def _review_guarded(subject: Review, path: tuple[str, str], value: str) -> None:
    ours, reason = _GUARDED[canonical(path[1])]
    given = value.strip().lower()
    if _BOOLEANS.get(given, given) != ours:
        subject.blame(path, f'must stay "{ours}", not {quote(value)}: {reason}; leave it out')


def _review_route_names(subject: Review) -> None:
    routes = subject.document.routes
    counts = Counter(route.known_as for route in routes)
    retired = subject.document.sink.retired_routes
    for index, route in enumerate(routes):
        name, path = route.known_as, ("routes", index, "name")
        if name is None:
            continue
        lent = "" if route.name else " (taken from its handler or table)"
        if counts[name] > 1:
            subject.blame(
                path, f"more than one route is named {quote(name)}{lent}; claims are kept by name, so give each its own"
            )
        if name in retired:
            subject.blame(path, f"{quote(name)}{lent} is also in sink.retired_routes; take it out of one of the two")


def _review_once_compacted(subject: Review) -> None:
    """Note an unknown topic: a misspelt one would leave the sink halted at its gaps."""
    read = [topic for route in subject.document.routes for topic in (route.topic, *(route.topics or ())) if topic]
    if subject.is_broken(("routes",)):
        return
    for name in subject.document.sink.once_compacted:
        if name not in read:
            subject.blame(("sink", "once_compacted"), f"no route reads {quote(name)}{hint(name, read)}")


def _review_same_id(subject: Review) -> None:
    """Note a wish that no route can fulfil: without claims nothing is known of the payload of an earlier event."""
    routes = subject.document.routes
    if not routes or subject.is_broken(("routes",)) or any(route.event_id != "coordinates" for route in routes):
        return
    if "same_id_other_payload" in subject.document.failures.model_fields_set:
        subject.blame(
            ("failures", "same_id_other_payload"),
            'every route has event_id = "coordinates" and keeps no claims, so no two events have the same id and no '
            "earlier payload is known; leave it out, or take the id of a route from a header or the value",
        )


def _review_copies(subject: Review) -> None:
    document, path = subject.document, ("failures", "copy_to")
    topic = document.failures.copy_to
    is_debezium = document.outbox is not None and document.outbox.relay is RelayKind.DEBEZIUM
    if document.failures.copy_format is CopyFormat.RECORD and is_debezium:
        subject.blame(
            ("failures", "copy_format"),
            'only `inbox relay` sends the bytes of a record as they were; set [outbox] relay = "inbox", or "json" here',
        )
    if topic is None:
        return
    if document.outbox is None and not subject.is_broken(("outbox",)):
        subject.blame(path, "copies go through the outbox, and there is none; add [outbox] and run inbox migrate")
    if document.outbox is not None and document.outbox.table is not None:
        subject.blame(
            path,
            "copies go through the inbox's own outbox, and [outbox] table names one of yours; leave one of them out",
        )
    if any(topic == route.topic or topic in (route.topics or ()) for route in document.routes):
        subject.blame(
            path, f"a route reads {quote(topic)}, so it would be given its own dead letters; name another topic"
        )


def review_outbox(subject: Review, section: OutboxSection) -> None:
    """Note what does not fit the outbox's table, which is an external table if `table` names it."""
    _review_outbox_envelope(subject, section)
    review_outbox_format(subject, section)
    if section.table is None:
        if not subject.is_broken((*_PATH, "table")):
            _review_own(subject, section)
    else:
        _review_existing(subject, section)


def _review_outbox_envelope(subject: Review, section: OutboxSection) -> None:
    in_envelopes = section.envelope is OutboxEnvelope.CLOUDEVENTS
    if in_envelopes and section.relay is RelayKind.DEBEZIUM:
        subject.blame(
            (*_PATH, "envelope"),
            "the connector sends events without the attributes of a CloudEvent, as its router has no constant headers; "
            'set relay = "inbox", or leave the envelope out',
        )
    if "source" in section.model_fields_set and not in_envelopes and not subject.is_broken((*_PATH, "envelope")):
        subject.blame((*_PATH, "source"), 'has an effect only with envelope = "cloudevents"; add that')


def _review_own(subject: Review, section: OutboxSection) -> None:
    if section.columns is not None:
        subject.blame((*_PATH, "columns"), "says what the columns of a table are called, and [outbox] names no table")
    if section.topic is not None:
        subject.blame((*_PATH, "topic"), "is for a table of yours; the inbox's own outbox has a column for it")


def _review_existing(subject: Review, section: OutboxSection) -> None:
    if section.relay is RelayKind.DEBEZIUM:
        subject.blame(
            (*_PATH, "relay"),
            "the connector is for the inbox's own outbox, which nobody updates; a table of yours goes with relay = "
            '"inbox", or with a connector that you write yourself',
        )
    if "payload" in section.model_fields_set:
        subject.blame((*_PATH, "payload"), "the table has its type already; leave it out")
    column = None if section.columns is None else section.columns.topic
    if section.topic is not None and column is not None:
        subject.blame((*_PATH, "topic"), "[outbox.columns] has a topic too, for that of each event; keep one")
    if section.topic is None and column is None and not subject.is_broken_within(_PATH):
        subject.blame(
            (*_PATH, "topic"), "missing; name the topic of all events, or under [outbox.columns] the column that has it"
        )
