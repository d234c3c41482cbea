"""What a route may say about its envelope."""

from collections.abc import Callable

import pytest

from inbox.reading.options import Envelope, Truncates
from inbox.settings import Settings
from inbox.store.options import TableTarget, Tombstones

Load = Callable[..., Settings]
Refuse = Callable[..., str]

DEBEZIUM = 'envelope = "debezium"\nevent_id = "debezium"\n'


def in_envelope(table_route: str, lines: str) -> str:
    return table_route.replace("[[routes]]\n", f"[[routes]]\n{lines}", 1)


def without_id(table_route: str) -> str:
    return "\n".join(line for line in table_route.split("\n") if not line.startswith("event_id"))


@pytest.fixture(name="table")
def table_(table_route: str) -> str:
    return without_id(table_route)


def test_a_route_without_an_envelope_has_none(load: Load, small: str) -> None:
    assert (load(small).routes[0].envelope, load(small).routes[0].truncates) == (Envelope.NONE, Truncates.ERROR)


def test_a_route_names_its_envelope_for_the_decoder_and_the_table(load: Load, small: str, table: str) -> None:
    route = load(small + in_envelope(table, DEBEZIUM + 'truncates = "apply"\n')).routes[1]
    assert isinstance(route.target, TableTarget)
    assert (route.envelope, route.truncates, route.event_id) == (Envelope.DEBEZIUM, Truncates.APPLY, "debezium")
    assert route.target.envelope is Envelope.DEBEZIUM


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", Tombstones.DELETE),
        ('mode = "upsert"', 'mode = "upsert"\ntombstones = "error"', Tombstones.ERROR),
        ('mode = "upsert"', 'mode = "newest"\nversion = "amount"', Tombstones.ERROR),
        ('mode = "upsert"\nkey = ["order_id"]', 'mode = "append"', Tombstones.ERROR),
    ],
)
def test_debeziums_deletes_delete_where_the_mode_can(
    load: Load, small: str, table: str, old: str, new: str, expected: Tombstones
) -> None:
    target = load(small + in_envelope(table, DEBEZIUM).replace(old, new, 1)).routes[1].target
    assert isinstance(target, TableTarget)
    assert target.tombstones is expected


def test_types_of_cloud_events_are_read_from_the_attribute(load: Load, small: str, table: str) -> None:
    lines = 'envelope = "cloudevents"\ntypes = ["A"]\n'
    assert load(small + in_envelope(table, lines)).routes[1].event_type is None


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ('envelope = "debezum"\n', "envelope", "did you mean debezium?"),
        (
            'envelope = "debezium"\n',
            "event_id",
            'missing; Debezium sends no id with a change; set event_id = "debezium"',
        ),
        ('event_id = "debezium"\n', "event_id", 'reads the change events of envelope = "debezium"'),
        ('truncates = "apply"\n', "truncates", 'has an effect only with envelope = "debezium"'),
        (DEBEZIUM + 'truncates = "aply"\n', "truncates", "did you mean apply?"),
    ],
)
def test_what_does_not_fit_the_envelope_is_refused(
    refuse: Refuse, small: str, table: str, lines: str, place: str, said: str
) -> None:
    text = refuse(small + in_envelope(table, lines))
    assert f"routes[1].{place} (inbox.toml): " in text
    assert said in text


def test_a_route_that_deletes_no_rows_applies_no_truncate(refuse: Refuse, small: str, table: str) -> None:
    lines = DEBEZIUM + 'truncates = "apply"\n'
    text = refuse(
        small + in_envelope(table, lines).replace('mode = "upsert"', 'mode = "upsert"\ntombstones = "ignore"')
    )
    assert '"apply" deletes all rows of the table, and this route deletes none' in text


def test_the_outbox_may_be_sent_as_cloud_events(load: Load, small: str) -> None:
    outbox = load(small + '[outbox]\nenvelope = "cloudevents"\nsource = "/shop"\n').outbox
    assert outbox is not None
    assert (outbox.envelope.value, outbox.source) == ("cloudevents", "/shop")


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ('envelope = "cloudevents"\nrelay = "debezium"', "envelope", "its router has no constant headers"),
        ('envelope = "debezium"', "envelope", "expected none or cloudevents"),
        ('source = "/shop"', "source", 'only with envelope = "cloudevents"'),
    ],
)
def test_an_envelope_that_nobody_sends_is_refused(
    refuse: Refuse, small: str, lines: str, place: str, said: str
) -> None:
    text = refuse(f"{small}[outbox]\n{lines}\n")
    assert f"outbox.{place} (inbox.toml): " in text
    assert said in text


def test_a_table_of_several_topics_applies_no_truncate(refuse: Refuse, small: str, table: str) -> None:
    lines = DEBEZIUM + 'truncates = "apply"\n'
    text = refuse(small + in_envelope(table, lines).replace('topic = "orders"', 'topics = ["orders", "others"]'))
    assert "also those that come from the other topics of the route" in text


@pytest.mark.parametrize("source", ["$op", "$ts", "$before:/amount", "$source:/lsn"])
def test_a_column_may_hold_what_debezium_says_beside_the_row(load: Load, small: str, table: str, source: str) -> None:
    target = load(small + in_envelope(table, DEBEZIUM).replace("/amount", source)).routes[1].target
    assert isinstance(target, TableTarget)
    assert target.columns["amount"].source == source


@pytest.mark.parametrize(
    ("lines", "source", "said"),
    [
        ("", "$op", '$op is a source of envelope = "debezium"'),
        ("", "$source:/lsn", '$source:/lsn is a source of envelope = "debezium"'),
        (DEBEZIUM, "$ce:subject", '$ce:subject is a source of envelope = "cloudevents"'),
        (DEBEZIUM, "$source:lsn", "expected a JSON pointer"),
        ('envelope = "cloudevents"\n', "$ce:Subject", "expected a JSON pointer"),
    ],
)
def test_a_source_that_the_envelope_does_not_have_is_refused(
    refuse: Refuse, small: str, table: str, lines: str, source: str, said: str
) -> None:
    text = refuse(small + in_envelope(table, lines).replace("/amount", source))
    assert "routes[1].table.columns.amount (inbox.toml): " in text
    assert said in text
