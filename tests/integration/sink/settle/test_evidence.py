"""What fails alone is the event's fault, what fails for all is the database's, whatever the code says."""

from contextlib import suppress
from typing import Any

import pytest

from inbox.errors import TryAgainError, UnprovenError
from inbox.events import Event
from inbox.handlers import Transaction
from inbox.sink.settle.fault.blame import HANDFUL
from inbox.store.options import TableMode
from inbox.store.postgres.connection import Connection
from tests.support.sink.amounts import ROUTE, out
from tests.support.sink.judging import Judged, One, handler_route, table_route
from tests.support.sink.running import Sink
from tests.support.watching import watched_sink

PLAIN = "CREATE TABLE t (id int, amount numeric)"


@pytest.fixture
def connection(in_small_parts: Connection) -> Connection:
    return in_small_parts


def event(number: int, amount: Any = 1, **more: Any) -> One:
    return One(number, {"id": number, "amount": amount, **more})


def events(first: int, last: int, **more: Any) -> list[One]:
    return [event(number, **more) for number in range(first, last + 1)]


def ids(route: Judged) -> list[int]:
    return [row for (row,) in route.rows("SELECT id FROM t ORDER BY id")]


def trigger(body: str, *, when: str = "BEFORE INSERT OR UPDATE") -> str:
    return f"""
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NEW; END $$;
CREATE TRIGGER judge {when} ON t FOR EACH ROW EXECUTE FUNCTION judge()
"""


def raises(code: str, condition: str = "NEW.amount = 13") -> str:
    return trigger(f"IF {condition} THEN RAISE 'no' USING ERRCODE = '{code}'; END IF;")


ALONE = {
    "a generated column that cannot be computed (0A000)": (
        "CREATE TABLE t (id int, amount numeric, cents bigint GENERATED ALWAYS AS ((amount * 100)::bigint) STORED)",
        "NaN",
    ),
    "a generated column that divides by zero": (
        "CREATE TABLE t (id int, amount numeric, share numeric GENERATED ALWAYS AS (100 / amount) STORED)",
        0,
    ),
    "a code of the trigger's own": (f"{PLAIN}; {raises('U0001')}", 13),
    "XX000 of a trigger": (f"{PLAIN}; {raises('XX000')}", 13),
    "55000 of a trigger": (f"{PLAIN}; {raises('55000')}", 13),
    "42P01 of a trigger": (f"{PLAIN}; {trigger('IF NEW.amount = 13 THEN PERFORM 1 FROM gone; END IF;')}", 13),
    "08006 of a trigger, on a connection that is alive": (f"{PLAIN}; {raises('08006')}", 13),
    "40001 of a trigger": (f"{PLAIN}; {raises('40001')}", 13),
    "0A000 of a trigger": (f"{PLAIN}; {raises('0A000')}", 13),
    "a condition": ("CREATE TABLE t (id int, amount numeric CHECK (amount <> 13))", 13),
    "a partition that there is not": (
        "CREATE TABLE t (id int, amount numeric) PARTITION BY LIST (amount);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1)",
        13,
    ),
    "a value of another type": (PLAIN, "thirteen"),
}


@pytest.mark.parametrize(("create", "amount"), ALONE.values(), ids=ALONE)
@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_an_event_that_fails_while_others_pass_is_parked_alone(
    connection: Connection, create: str, amount: Any, warm: bool, place: int
) -> None:
    route = table_route(connection, create)
    before = events(1, 5) + events(6, 10) if warm else []
    for start in range(0, len(before), 5):
        route.settle(*before[start : start + 5])
    batch = events(11, 15)
    batch[place] = event(100, amount)
    route.settle(*batch)
    assert route.parked == [100]
    assert ids(route) == [*range(1, len(before) + 1), *(number for number in range(11, 16) if number != 11 + place)]


@pytest.mark.parametrize(
    ("create", "amount"),
    [case for name, case in ALONE.items() if "partition" not in name],
    ids=[name for name in ALONE if "partition" not in name],
)
def test_an_event_that_comes_alone_is_parked_where_one_that_applied_before_still_does(
    connection: Connection, create: str, amount: Any
) -> None:
    route = table_route(connection, create)
    route.settle(event(1))
    route.settle(event(100, amount))
    assert route.parked == [100]
    route.settle(event(2))
    assert ids(route) == [1, 2], "what was tried for comparison left nothing behind"


def test_an_event_alone_without_a_partition_waits_for_those_behind_it(connection: Connection) -> None:
    route = table_route(connection, ALONE["a partition that there is not"][0])
    route.settle(event(1))
    with pytest.raises(UnprovenError, match="no partition of relation"):
        route.settle(event(100, 13))
    route.settle(event(100, 13), event(2))
    assert route.parked == [100]
    assert ids(route) == [1, 2]


CHANGES = {
    "a column that must not be null": "ALTER TABLE t ADD COLUMN added int; UPDATE t SET added = 1;"
    "ALTER TABLE t ALTER COLUMN added SET NOT NULL",
    "a condition over the route's columns": "ALTER TABLE t ADD CHECK (amount > 5) NOT VALID",
    "a condition over another column": "ALTER TABLE t ADD COLUMN other int; ALTER TABLE t ALTER COLUMN other SET "
    "DEFAULT 0; ALTER TABLE t ADD CHECK (other = 1) NOT VALID",
    "a trigger that always raises": raises("P0001", "true"),
    "a trigger with a code of its own": raises("U0001", "true"),
    "a trigger that divides by zero": trigger("NEW.amount = 1 / 0;"),
    "a trigger of which a table is gone": trigger("PERFORM 1 FROM gone;"),
    "a sequence at its end": "CREATE SEQUENCE s MAXVALUE 2; SELECT setval('s', 2);"
    "ALTER TABLE t ADD COLUMN n int; ALTER TABLE t ALTER COLUMN n SET DEFAULT nextval('s')",
    "a column that is gone": "ALTER TABLE t DROP COLUMN amount",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("count", [1, 3, 20])
def test_what_fails_for_every_event_is_an_outage(connection: Connection, change: str, count: int) -> None:
    route = table_route(connection, PLAIN)
    route.settle(*events(1, 5))
    route.settle(*events(6, 10))
    connection.execute(change.encode(), prepare=False)
    for _ in range(3):
        with pytest.raises(TryAgainError) as failed:
            route.settle(*events(11, 10 + count))
    assert failed.value.alert
    assert route.parked == []


def test_a_month_without_a_partition_is_an_outage_from_its_first_event_on(connection: Connection) -> None:
    route = table_route(
        connection,
        "CREATE TABLE t (id int, amount int) PARTITION BY RANGE (amount);"
        "CREATE TABLE december PARTITION OF t FOR VALUES FROM (0) TO (10)",
    )
    route.settle(*events(1, 5))
    batches = [events(11, 13) + events(14, 15, amount=10), events(16, 30, amount=11), [event(31, amount=12)]]
    for batch in batches:
        with pytest.raises(UnprovenError, match=r"no partition of relation .* \(23514\)") as failed:
            route.settle(*batch)
        assert failed.value.reason == "constraint"
    route.sql("CREATE TABLE january PARTITION OF t FOR VALUES FROM (10) TO (20)")
    for batch in batches:
        route.settle(*batch)
    assert route.parked == []
    assert ids(route) == [*range(1, 6), *range(11, 32)]


def test_late_events_among_many_without_a_partition_park_none(connection: Connection) -> None:
    create = ALONE["a partition that there is not"][0]
    route = table_route(connection, create)
    batch = [event(number, 1 if number % 4 == 0 else 13) for number in range(1, 41)]
    with pytest.raises(UnprovenError, match="no partition"):
        route.settle(*batch)


def test_a_topic_of_nothing_but_refused_events_is_waited_for(connection: Connection) -> None:
    route = table_route(connection, ALONE["a condition"][0])
    with pytest.raises(UnprovenError, match="events in a row"):
        route.settle(*events(1, 2000, amount=13))
    assert route.parked == []


def test_refused_events_that_come_one_by_one_are_parked_until_they_are_a_handful(connection: Connection) -> None:
    route = table_route(connection, ALONE["a condition"][0])
    for number in range(1, HANDFUL):
        route.settle(event(number, 13))
    assert route.parked == list(range(1, HANDFUL))
    with pytest.raises(UnprovenError, match="events in a row"):
        route.settle(event(HANDFUL, 13))
    route.settle(event(HANDFUL, 13), event(100))
    assert route.parked == list(range(1, HANDFUL + 1)), "one that passes shows that it is the events"


def test_values_that_no_column_takes_are_parked_though_all_fail(connection: Connection) -> None:
    route = table_route(connection, PLAIN)
    route.settle(*events(1, 20, amount="x"))
    assert route.parked == list(range(1, 21))


def test_an_event_behind_its_key_may_show_that_the_database_is_well(connection: Connection) -> None:
    route = table_route(connection, f"{PLAIN}; {raises('42000', 'NEW.amount = 13')}")
    route.settle(One(1, {"id": 1, "amount": 13}, key="a"), One(2, {"id": 2, "amount": 1}, key="a"))
    assert (route.parked, route.waiting) == ([1], [2])
    assert ids(route) == []


# The table's shape.


def test_a_wider_column_takes_what_comes_without_a_restart(connection: Connection) -> None:
    route = table_route(connection, "CREATE TABLE t (id int, amount int)")
    route.settle(*events(1, 5))
    route.sql("ALTER TABLE t ALTER COLUMN amount TYPE bigint")
    batch = [*events(6, 7), event(8, 2**40), event(9)]
    with pytest.raises(TryAgainError, match=r'the table "public\.t" was altered'):
        route.settle(*batch)
    route.settle(*batch)
    assert route.parked == []
    assert ids(route) == list(range(1, 10))


@pytest.mark.parametrize(
    ("create", "change", "amount"),
    [
        ("amount text", "TYPE timestamptz USING now()", "2026-01-01"),
        ("amount int NOT NULL", "DROP NOT NULL", None),
        ("amount varchar(3)", "TYPE text", "longer"),
    ],
)
def test_events_are_judged_by_the_shape_that_the_table_has(
    connection: Connection, create: str, change: str, amount: Any
) -> None:
    route = table_route(connection, f"CREATE TABLE t (id int, {create})")
    route.settle(*events(1, 5))
    route.sql(f"ALTER TABLE t ALTER amount {change}")
    batch = [event(6, amount), event(7, amount)]
    with suppress(TryAgainError):
        route.settle(*batch)
    if len(ids(route)) < 7:
        route.settle(*batch)
    assert route.parked == []
    assert ids(route)[-2:] == [6, 7]


def test_a_column_that_became_what_nothing_can_be_made_of_is_waited_for(connection: Connection) -> None:
    route = table_route(connection, PLAIN, columns={"id": "/id", "amount": "$offset"})
    route.settle(event(1))
    route.sql("ALTER TABLE t ALTER amount TYPE timestamptz USING now()")
    for _ in range(2):
        with pytest.raises(TryAgainError, match=r'column "amount" of table .* cannot be made of') as failed:
            route.settle(*events(2, 3))
        assert failed.value.alert
    route.sql("ALTER TABLE t ALTER amount TYPE numeric USING 1")
    with suppress(TryAgainError):
        route.settle(*events(2, 3))
    if len(ids(route)) == 1:
        route.settle(*events(2, 3))
    assert route.parked == []
    assert ids(route) == [1, 2, 3]


def test_a_handlers_rows_without_a_partition_are_no_fault_of_theirs_though_other_events_pass(
    connection: Connection,
) -> None:
    connection.execute(PLAIN)
    connection.execute("CREATE TABLE months (month int) PARTITION BY LIST (month)")
    route = handler_route(connection, insert)
    monthly = [event(number, statement="INSERT INTO months VALUES (1)") for number in range(1, 3)]
    with pytest.raises(UnprovenError, match="no partition"):
        route.settle(*monthly, *events(3, 20))
    route.sql("CREATE TABLE first PARTITION OF months FOR VALUES IN (1)")
    route.settle(*monthly, *events(3, 20))
    assert route.parked == []


# A search that fails is no answer.

WHOLE_ROW = """
CREATE TABLE t (id int, amount int);
CREATE FUNCTION ok(t) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.amount <> 13';
ALTER TABLE t ADD CHECK (amount > 0 AND ok(t.*))
"""
SYSTEM_COLUMN = "CREATE TABLE t (id int, amount int, CHECK (amount <> 13 AND tableoid > 0))"
FAILING_CONDITION = "CREATE TABLE t (id int, amount int CHECK (100 / (amount - 13) > -1000))"
SLOW_CONDITION = """
CREATE FUNCTION slow(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN RETURN current_setting('test.slow', true) IS DISTINCT FROM 'yes' OR $1 / 0 = 1; END $$;
CREATE TABLE t (id int, amount int CHECK (amount <> 13 AND slow(amount)))
"""


@pytest.mark.parametrize("create", [WHOLE_ROW, SYSTEM_COLUMN, FAILING_CONDITION, SLOW_CONDITION])
@pytest.mark.parametrize("careful", [True, False])
def test_a_condition_that_cannot_be_asked_alone_parks_its_event_alone(
    connection: Connection, create: str, careful: bool
) -> None:
    route = table_route(connection, create, careful=careful)
    route.settle(*events(1, 5))
    route.settle(*events(6, 8), event(9, 13), *events(10, 40))
    assert route.parked == [9]
    assert len(ids(route)) == 39


@pytest.mark.parametrize("search", [b"SELECT gone", b"SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(60)"])
def test_a_search_that_is_refused_leaves_it_to_the_groups(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, search: bytes
) -> None:
    route = table_route(connection, ALONE["a condition"][0])
    route.settle(event(1))
    effect = route._route.effect
    statements = effect._writer._statements  # type: ignore[attr-defined]
    monkeypatch.setattr(statements, "evaluate", search)
    monkeypatch.setattr(statements, "explain", search)
    route.settle(*events(2, 20), event(21, 13), *events(22, 30))
    assert route.parked == [21]


# Handlers.


def insert(one: Event, tx: Transaction) -> None:
    document = one.json()
    tx.execute("INSERT INTO t (id, amount) VALUES (%s, %s)", (document["id"], document["amount"]))
    if (statement := document.get("statement")) is not None:
        tx.execute(statement)


def raising(code: str) -> str:
    return f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize("code", ["U0001", "XX000", "55000", "0A000", "P0001", "42501", "57P01"])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_handlers_statement_that_fails_alone_parks_its_event(connection: Connection, code: str, place: int) -> None:
    connection.execute(PLAIN)
    route = handler_route(connection, insert)
    batch = events(1, 5)
    batch[place] = event(100, statement=raising(code))
    route.settle(*batch)
    assert route.parked == [100]


def test_a_table_that_only_some_events_need_is_waited_for(connection: Connection) -> None:
    """That others pass by other statements is no evidence."""
    connection.execute(PLAIN)
    route = handler_route(connection, insert)
    with pytest.raises(UnprovenError, match="42P01") as failed:
        route.settle(*events(1, 4), event(5, statement="INSERT INTO gone VALUES (1)"), *events(6, 9))
    assert failed.value.reason == "table"


@pytest.mark.parametrize("count", [1, 20])
def test_a_column_that_must_not_be_null_holds_up_a_handlers_events(connection: Connection, count: int) -> None:
    connection.execute(PLAIN)
    route = handler_route(connection, insert)
    route.settle(*events(1, 5))
    route.sql("ALTER TABLE t ADD COLUMN added int NOT NULL DEFAULT 1; ALTER TABLE t ALTER added DROP DEFAULT")
    with pytest.raises(UnprovenError, match="23502"):
        route.settle(*events(6, 5 + count))
    route.sql("ALTER TABLE t ALTER added SET DEFAULT 1")
    route.settle(*events(6, 5 + count))
    assert route.parked == []


def test_a_condition_that_depends_on_what_was_done_before_parks_the_event_that_meets_it(
    connection: Connection,
) -> None:
    """That the last order cannot be repeated says nothing of the database."""
    connection.execute("CREATE TABLE t (id int); CREATE TABLE stock (left_ int CHECK (left_ >= 0))", prepare=False)
    connection.execute("INSERT INTO stock VALUES (2)")

    def sell(one: Event, tx: Transaction) -> None:
        tx.execute("UPDATE stock SET left_ = left_ - 1")
        tx.execute("INSERT INTO t VALUES (%s)", (one.json()["id"],))

    route = handler_route(connection, sell)
    for number in range(1, 5):
        route.settle(event(number))
    assert route.parked == [3, 4]
    assert ids(route) == [1, 2]


def test_a_handlers_own_errors_are_never_an_outage(connection: Connection) -> None:
    connection.execute(PLAIN)

    def refuse(one: Event, tx: Transaction) -> None:
        raise ValueError(one.json()["id"])

    route = handler_route(connection, refuse)
    route.settle(*events(1, 20))
    assert route.parked == list(range(1, 21))


def test_a_batch_of_updates_in_insert_mode_is_judged_row_by_row(connection: Connection) -> None:
    route = table_route(
        connection,
        "CREATE TABLE t (id int PRIMARY KEY, amount int NOT NULL CHECK (amount <> 13))",
        mode=TableMode.INSERT,
        key=("id",),
    )
    route.settle(One(1, {"id": 1, "amount": 1}), One(2, {"id": 1, "amount": 13}), One(3, {"id": 1}))
    assert route.parked == [2, 3]


# The running sink.


def test_a_lone_event_waits_with_an_alert_until_the_next_one_shows_that_it_is_its_fault(sink: Sink) -> None:
    sink.sql(f"{PLAIN}; {raises('40001')}")
    sink.configure(ROUTE)
    with watched_sink(sink) as running:
        sink.send(out(1, 13))
        running.eventually_away()
        assert "nothing shows that it is its fault" in str(running.worker.progress.waiting_for)
        running.stays_away(1)
        sink.send(out(2))
        sink.eventually_settled(2)
        running.eventually_ready()
    assert sink.dead_letters() == [(0, "parked")]
    assert sink.column("SELECT id FROM t") == [2]
    assert [len(running.told(event)) for event in ("outage", "outage-over")] == [1, 1]
    assert running.told("outage")[0]["log_level"] == "error"


def test_a_missing_partition_is_an_outage_that_ends_when_it_is_created(sink: Sink) -> None:
    sink.sql("CREATE TABLE t (id int, amount int) PARTITION BY LIST (amount)")
    sink.sql("CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1)")
    sink.configure(ROUTE)
    with watched_sink(sink) as running:
        sink.send(*(out(number) for number in range(1, 11)))
        sink.eventually_settled(10)
        sink.send(*(out(number, 2) for number in range(11, 61)))
        running.eventually_away()
        running.stays_away(1)
        assert sink.dead_letters() == []
        sink.sql("CREATE TABLE t_2 PARTITION OF t FOR VALUES IN (2)")
        sink.eventually_settled(60)
        running.eventually_ready()
    assert sink.endings() == {"applied": 60}
    assert [line["reason"] for line in running.told("outage")] == ["constraint"]
    assert len(running.told("outage-over")) == 1


def test_an_altered_table_costs_one_more_try(sink: Sink) -> None:
    sink.sql("CREATE TABLE t (id int, amount int)")
    sink.configure(ROUTE)
    with sink.running():
        sink.send(out(1))
        sink.eventually_settled(1)
        sink.sql("ALTER TABLE t ALTER amount TYPE numeric")
        sink.send(out(2, 1.5), out(3, 2**40), out(4, "x"))
        sink.eventually_settled(4)
    assert sink.dead_letters() == [(3, "parked")]
    assert sink.column("SELECT id FROM t ORDER BY id") == [1, 2, 3]


ALTERED = {
    "a time gets a zone": ("timestamp", "timestamptz", "2024-01-01T10:00:00+02:00", "2024-01-01 08:00:00+00"),
    "a day becomes a time": ("date", "timestamp", "2024-01-01T10:00:00", "2024-01-01 10:00:00"),
    "a number gets more digits": ("real", "numeric", 0.123456789012, "0.123456789012"),
    "a number becomes a text": ("int", "text", "007", "007"),
}


@pytest.mark.parametrize(("before", "after", "value", "written"), ALTERED.values(), ids=ALTERED)
@pytest.mark.parametrize("careful", [True, False])
def test_no_value_is_written_by_the_type_that_its_column_had_before(
    connection: Connection, before: str, after: str, value: Any, written: str, careful: bool
) -> None:
    route = table_route(connection, f"CREATE TABLE t (id int, amount {before})", careful=careful)
    route.settle(*events(1, 3, amount=value))
    route.sql(f"TRUNCATE t; ALTER TABLE t ALTER amount TYPE {after}")
    with pytest.raises(TryAgainError, match="was altered"):
        route.settle(*events(4, 6, amount=value))
    route.settle(*events(4, 6, amount=value))
    assert route.rows("SELECT DISTINCT amount::text FROM t") == [(written,)]
    assert ids(route) == [4, 5, 6]


def test_a_trigger_that_is_added_while_the_sink_runs_sees_every_event(connection: Connection) -> None:
    create = "CREATE TABLE t (id int PRIMARY KEY, amount numeric)"
    route = table_route(connection, create, mode=TableMode.UPSERT, key=("id",))
    route.settle(event(1))
    route.sql(raises("P0001"))
    batch = [One(2, {"id": 1, "amount": 13}, key="a"), One(3, {"id": 1, "amount": 2}, key="b")]
    with pytest.raises(TryAgainError, match="was altered"):
        route.settle(*batch)
    route.settle(*batch)
    assert route.parked == [2]


@pytest.mark.parametrize("setting", ["TimeZone = 'America/New_York'", "DateStyle = 'German'"])
@pytest.mark.parametrize("local", ["", "LOCAL"])
def test_a_trigger_that_changes_what_texts_mean_is_an_outage(connection: Connection, setting: str, local: str) -> None:
    route = table_route(
        connection, f"CREATE TABLE t (id int, amount timestamptz); {trigger(f'SET {local} {setting};')}"
    )
    for _ in range(2):
        with pytest.raises(TryAgainError, match=f"set {setting.split()[0]} to .* give its function a SET clause"):
            route.settle(*events(1, 3, amount="2024-02-03 10:00"))
    route.sql(f"ALTER FUNCTION judge() SET {setting}")
    route.sql(trigger("NULL;").split("CREATE TRIGGER")[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    route.settle(*events(1, 3, amount="2024-02-03 10:00"))
    assert route.rows("SELECT DISTINCT amount = '2024-02-03 10:00Z' FROM t") == [(True,)]


def test_what_a_handler_set_changes_no_value_of_a_table_route(connection: Connection) -> None:
    route = table_route(connection, "CREATE TABLE t (id int, amount timestamptz)")
    connection.execute("SET TimeZone = 'America/New_York'")
    route.settle(*events(1, 3, amount="2024-02-03 10:00"))
    assert route.rows("SELECT DISTINCT amount = '2024-02-03 10:00Z' FROM t") == [(True,)]
