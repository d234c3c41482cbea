"""What a route may say."""

from collections.abc import Callable

import pytest

from inbox.operations.check.id_advice import advice_on_keys
from inbox.settings import Settings
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import ColumnSource, TableMode, TableTarget, Tombstones
from tests.support.store.sources import sources

Load = Callable[..., Settings]
Refuse = Callable[..., str]


def test_a_handler_route_is_named_by_its_handler(load: Load) -> None:
    assert load().routes == (
        Route(name="reserve_stock", topics=("order.events",), target=HandlerTarget(entry_point="reserve_stock")),
    )


def test_a_table_route_is_named_by_its_table(load: Load, small: str, table_route: str) -> None:
    assert load(small + table_route).routes[1] == Route(
        name="public.orders",
        topics=("orders",),
        target=TableTarget(
            name="public.orders",
            mode=TableMode.UPSERT,
            columns=sources({"order_id": "/order_id", "amount": "/amount"}),
            key=("order_id",),
            tombstones=Tombstones.ERROR,
        ),
    )


def test_types_are_read_from_the_header_type_unless_said_otherwise(load: Load, small: str) -> None:
    text = small + 'types = ["OrderCreated"]\n'

    assert load(text).routes[0].event_type == "header:type"
    assert load(text + 'event_type = "value:/type"\n').routes[0].event_type == "value:/type"
    assert load(small).routes[0].event_type is None


def test_a_route_may_have_several_topics(load: Load, small: str) -> None:
    assert load(small.replace('topic = "order.events"', 'topics = ["a", "b"]')).routes[0].topics == ("a", "b")


@pytest.mark.parametrize("event_id", ["auto", "header:x-id", "key", "value:/a/0", "value:/", "coordinates"])
def test_each_place_of_an_event_id_is_taken(load: Load, small: str, event_id: str) -> None:
    assert load(small + f'event_id = "{event_id}"\n').routes[0].event_id == event_id


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('event_id = "coordinate"', "did you mean coordinates?"),
        ('event_id = "value:event_id"', 'a JSON pointer starts with "/"'),
        ('event_id = "value:"', "expected one of auto"),
        ('event_id = "header:"', "expected one of auto"),
        ('event_type = "value:/a~2"', '"~" is written ~0'),
        ('format = "jsn"', "did you mean json?"),
        ('topics = ["a"]', "both topic and topics are there"),
        ("types = []", "leave it out to take every type"),
        ("when = 'value.amount >'", "routes[0].when (inbox.toml): is not a condition in CEL"),
        ("when = 'valu.amount > 1'", "unknown variable valu; the variables are value, key, headers, type, topic"),
        ("when = 'sise(value) > 1'", "unknown function sise"),
        ("when = ''", "expected a condition in CEL"),
        ('types = "OrderCreated"', "expected a list, even of one"),
        ('mode = "upsert"', "did you mean routes[0].table.mode?"),
        ('table = "orders"', "expected a table"),
        ('name = ""', "1 to 200 printable characters"),
        ('topik = "a"', "did you mean topic?"),
    ],
)
def test_a_wrong_line_of_a_route_is_refused(refuse: Refuse, small: str, line: str, said: str) -> None:
    text = refuse(small + line + "\n")

    assert "routes[0]" in text
    assert said in text


@pytest.mark.parametrize("topics", ["topics = []", "", 'topic = "^orders-.*"', 'topics = ["a", "a"]', 'topic = ".."'])
def test_topics_are_named_each_once(refuse: Refuse, small: str, topics: str) -> None:
    assert "routes[0].topic" in refuse(small.replace('topic = "order.events"', topics))


def test_a_route_has_a_handler_or_a_table(refuse: Refuse, small: str) -> None:
    neither = small.replace('handler = "reserve_stock"', "")
    both = small + 'table = {name = "t", mode = "append", columns = {v = "$value"}}\n'

    assert "routes[0] (inbox.toml): has neither handler nor table" in refuse(neither)
    assert "both handler and table" in refuse(both)


def test_two_routes_of_one_name_are_refused(refuse: Refuse, small: str) -> None:
    said = refuse(small + '[[routes]]\ntopic = "b"\nhandler = "reserve_stock"\n')

    assert 'routes[0].name (inbox.toml): more than one route is named "reserve_stock"' in said
    assert "routes[1].name" in said


def test_a_retired_route_that_is_there_is_refused(refuse: Refuse, load: Load, small: str) -> None:
    text = small.replace("[database]", 'retired_routes = ["reserve_stock", "old"]\n[database]')

    assert load(text + 'name = "new"\n').sink.retired_routes == ("reserve_stock", "old")
    assert "also in sink.retired_routes" in refuse(text)


def test_a_topic_that_was_once_compacted_is_one_that_a_route_reads(refuse: Refuse, load: Load, small: str) -> None:
    text = small.replace("[database]", 'once_compacted = ["TOPIC"]\n[database]')
    assert load(text.replace("TOPIC", "order.events")).sink.once_compacted == ("order.events",)
    assert 'no route reads "order.event"; did you mean order.events?' in refuse(text.replace("TOPIC", "order.event"))


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ('mode = "upsert"', 'mode = "upsrt"', "mode", "did you mean upsert?"),
        ('mode = "upsert"', "", "mode", "missing; expected append, insert, upsert, newest, merge, update"),
        ('name = "public.orders"', "", "name", "missing"),
        ('name = "public.orders"', 'name = "a.b.c"', "name", 'expected "table" or "schema.table"'),
        ('name = "public.orders"', "name = '\"Orders\"'", "name", "no quotes"),
        ('key = ["order_id"]', "", "key", 'missing; mode "upsert" finds a row by its key'),
        ('key = ["order_id"]', "key = []", "key", "missing"),
        ('key = ["order_id"]', 'key = ["ordr_id"]', "key", "did you mean order_id?"),
        ('key = ["order_id"]', 'key = ["order_id", "order_id"]', "key", "twice"),
        ('key = ["order_id"]', 'key = "order_id"', "key", "expected a list"),
        ('mode = "upsert"', 'mode = "append"', "key", "takes no key"),
        ('mode = "upsert"', 'mode = "newest"', "version", "missing"),
        ('mode = "upsert"', 'mode = "newest"\nversion = "amont"', "version", "did you mean amount?"),
        ('mode = "upsert"', 'mode = "newest"\nversion = "order_id"', "version", "is in the key too"),
        (
            'mode = "upsert"',
            'mode = "newest"\nversion = "amount"\ntombstones = "delete"',
            "tombstones",
            "the version must outlive the row",
        ),
        (
            'mode = "upsert"\nkey = ["order_id"]',
            'mode = "append"\ntombstones = "delete"',
            "tombstones",
            "no key to delete by",
        ),
        ('mode = "upsert"', 'mode = "upsert"\ntombstones = "mark"', "deleted", 'missing; tombstones = "mark"'),
        ('mode = "upsert"', 'mode = "upsert"\ndeleted = "gone"', "deleted", 'only with tombstones = "mark"'),
        (
            'mode = "upsert"',
            'mode = "upsert"\ntombstones = "mark"\ndeleted = "amount"',
            "deleted",
            "written by the sink alone",
        ),
        ('mode = "upsert"\nkey = ["order_id"]', 'mode = "append"\ntombstones = "mark"', "tombstones", "no key"),
        ('mode = "upsert"\nkey = ["order_id"]', 'mode = "update"', "key", 'missing; mode "update" finds a row'),
        (
            'mode = "upsert"\nkey = ["order_id"]',
            'mode = "update"\nkey = ["order_id", "amount"]',
            "columns",
            "changes the columns outside the key",
        ),
        ('"/amount"', '"$ofset"', "columns.amount", "did you mean $offset?"),
        ('"/amount"', '"$header:"', "columns.amount", "$header:NAME"),
        ('"/amount"', '"amount"', "columns.amount", 'a JSON pointer starts with "/"'),
        ('"/amount"', '""', "columns.amount", "$value"),
        ('"/amount"', "7", "columns.amount", "not 7"),
        ("amount", "x" * 64, f"columns.{'x' * 64}", "63 bytes"),
        ('order_id = "/order_id"\namount = "/amount"', "", "columns", "is empty"),
    ],
)
def test_a_wrong_table_is_refused(
    refuse: Refuse, small: str, table_route: str, old: str, new: str, place: str, said: str
) -> None:
    text = refuse(small + table_route.replace(old, new, 1))

    assert f"routes[1].table.{place} (inbox.toml): " in text
    assert said in text


@pytest.mark.parametrize(
    "source", ["$key", "$value", "$header:x y", "$topic", "$partition", "$offset", "$timestamp", "$event_id", "$type"]
)
def test_a_column_may_hold_each_variable_of_a_record(load: Load, small: str, table_route: str, source: str) -> None:
    target = load(small + table_route.replace("/amount", source)).routes[1].target

    assert isinstance(target, TableTarget)
    assert target.columns["amount"] == ColumnSource(source)


def test_a_column_that_was_refused_is_not_said_to_be_absent_as_well(
    refuse: Refuse, small: str, table_route: str
) -> None:
    said = refuse(small + table_route.replace("/order_id", "order_id"))

    assert said.startswith("routes[1].table.columns.order_id (inbox.toml): expected")
    assert "\n" not in said


def test_newest_with_its_version_is_taken(load: Load, small: str, table_route: str) -> None:
    text = small + table_route.replace('"upsert"', '"newest"\nversion = "amount"\ntombstones = "ignore"')

    target = load(text).routes[1].target

    assert isinstance(target, TableTarget)
    assert (target.mode, target.version, target.tombstones) == ("newest", "amount", "ignore")


def test_a_version_has_no_effect_outside_newest(load: Load, small: str, table_route: str) -> None:
    text = small + table_route.replace('"upsert"', '"upsert"\nversion = "updated_at"')

    assert load(text).routes == load(small + table_route).routes


# Options that undo each other.

DELETES = 'mode = "upsert"\ntombstones = "delete"'


@pytest.mark.parametrize("tombstones", ["delete", "error"])
def test_a_tombstone_has_no_type_in_its_value(refuse: Refuse, small: str, table_route: str, tombstones: str) -> None:
    route = table_route.replace('topic = "orders"', 'topic = "orders"\ntypes = ["A"]\nevent_type = "value:/type"')
    text = refuse(small + route.replace('mode = "upsert"', f'mode = "upsert"\ntombstones = "{tombstones}"'))

    assert text.startswith(
        "routes[1].table.tombstones (inbox.toml): a tombstone has no value, so it has no type at /type"
    )
    assert 'event_type = "header:NAME"' in text


@pytest.mark.parametrize(
    ("types", "tombstones"),
    [
        ('types = ["A"]\nevent_type = "value:/type"', 'tombstones = "ignore"'),
        ('types = ["A"]\nevent_type = "value:/type"', ""),
        ('types = ["A"]\nevent_type = "header:type"', 'tombstones = "delete"'),
        ('types = ["A"]', 'tombstones = "delete"'),
        ('event_type = "value:/type"', 'tombstones = "delete"'),
        ("", 'tombstones = "delete"'),
    ],
)
def test_tombstones_that_can_do_what_is_said_are_taken(
    load: Load, small: str, table_route: str, types: str, tombstones: str
) -> None:
    route = table_route.replace('topic = "orders"', f'topic = "orders"\n{types}')
    load(small + route.replace('mode = "upsert"', f'mode = "upsert"\n{tombstones}'))


@pytest.mark.parametrize("source", ["$offset", "$timestamp", "$event_id", "$value"])
def test_a_tombstone_names_no_row_by_what_is_its_own(refuse: Refuse, small: str, table_route: str, source: str) -> None:
    route = table_route.replace('mode = "upsert"', DELETES).replace('order_id = "/order_id"', f'order_id = "{source}"')
    text = refuse(small + route)

    assert f'the key has the column "order_id" from {source}, which a tombstone never has in common' in text


@pytest.mark.parametrize("source", ["$key", "/order_id", "$header:id", "$topic", "$partition", "$type"])
def test_a_tombstone_may_name_its_row_by_anything_else(load: Load, small: str, table_route: str, source: str) -> None:
    load(small + table_route.replace('mode = "upsert"', DELETES).replace('"/order_id"', f'"{source}"'))


def test_a_tombstone_whose_id_is_its_key_would_be_the_event_that_wrote_its_row(
    refuse: Refuse, small: str, table_route: str
) -> None:
    route = table_route.replace('topic = "orders"', 'topic = "orders"\nevent_id = "key"')

    assert 'with event_id = "key" a tombstone has the id of the event' in refuse(
        small + route.replace('mode = "upsert"', DELETES)
    )


@pytest.mark.parametrize("mode", ['mode = "upsert"', 'mode = "newest"\nversion = "amount"', 'mode = "update"'])
def test_a_row_by_the_key_is_never_overwritten_where_the_id_is_the_key(
    refuse: Refuse, load: Load, small: str, table_route: str, mode: str
) -> None:
    route = table_route.replace('topic = "orders"', 'topic = "orders"\nevent_id = "key"').replace(
        'mode = "upsert"', mode
    )

    assert "routes[1].event_id" in refuse(small + route.replace('"/order_id"', '"$key"'))
    load(small + route)  # its keys may be ids of events


def test_advice_is_given_where_a_key_probably_has_several_events(load: Load, small: str, table_route: str) -> None:
    route = table_route.replace('topic = "orders"', 'topic = "orders"\nevent_id = "key"')

    assert advice_on_keys(load(small + table_route)) == []
    [advice] = advice_on_keys(load(small + route))
    assert advice.startswith('route public.orders: with event_id = "key" a key has one event, ever')
    assert "becomes a dead letter" in advice
    [counted] = advice_on_keys(load(small + route + '[failures]\nsame_id_other_payload = "count"\n'))
    assert "is counted as a duplicate and not applied" in counted
    inserted = load(small + route.replace('"upsert"', '"insert"'))
    assert advice_on_keys(inserted) == []
    assert "topic orders is compacted" in advice_on_keys(inserted, {"orders"})[0]
