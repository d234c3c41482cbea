"""Events that miss a row which another event may bring wait for it, and stop nobody who may bring it."""

from collections.abc import Callable, Sequence

import pytest

import inbox
from inbox import Event, Transaction
from inbox.process.health import Health
from tests.conftest import MakeTopic
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually, taking_at_most

ROUTES = """
[[routes]]
name = "children"
topic = "{children}"
[routes.table]
name = "public.children"
mode = "{mode}"
key = ["id"]
[routes.table.columns]
id = "/id"
parent = "/parent"

[[routes]]
name = "parents"
topic = "{parents}"
[routes.table]
name = "public.parents"
mode = "{mode}"
key = ["id"]
[routes.table.columns]
id = "/id"
"""
TABLES = """
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (id int PRIMARY KEY, parent int NOT NULL REFERENCES parents {deferred})
"""
MANY = 3000


def child(topic: str, number: int, parent: int, partition: int = 0) -> Out:
    return Out(1_000_000 + number, {"id": number, "parent": parent}, str(number), partition=partition, topic=topic)


def parent(topic: str, number: int, partition: int = 0) -> Out:
    return Out(number, {"id": number}, str(number), partition=partition, topic=topic)


def count(sink: Sink, table: str) -> int:
    return len(sink.column(f"TABLE {table}"))


@pytest.fixture
def family(make_sink: Callable[..., Sink], make_topic: MakeTopic) -> Callable[..., tuple[Sink, str, str]]:
    """Makes a sink of children, whose route comes first, and parents: `family(wait="2s", partitions=2)`."""

    def make(
        *, wait: str = "30s", partitions: int = 2, deferred: str = "", mode: str = "upsert"
    ) -> tuple[Sink, str, str]:
        sink = make_sink(partitions=partitions)
        children, parents = sink.topic, make_topic(partitions=partitions)
        routes = ROUTES.format(children=children, parents=parents, mode=mode)
        sink.configure(routes, rest=f'[failures]\nwait_for_rows = "{wait}"')
        sink.sql(TABLES.format(deferred=deferred))
        return sink, children, parents

    return make


@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"])
def test_thousands_of_children_before_their_parents_are_all_applied(
    family: Callable[..., tuple[Sink, str, str]], deferred: str
) -> None:
    sink, children, parents = family(deferred=deferred)
    sink.send(*(child(children, number, number, number % 2) for number in range(MANY)))
    with sink.running() as worker:
        health = Health()
        health.watch(worker.progress)
        eventually(lambda: sink.next_offsets(), what="the ledger")
        # The parents come when the children have been waiting, in another order, and not all at once.
        for start in range(0, MANY, 1000):
            sink.send(*(parent(parents, number, number % 2) for number in reversed(range(start, start + 1000))))
        eventually(lambda: count(sink, "children") == MANY, what="all children")
        assert health.not_ready() is None
    assert count(sink, "parents") == MANY
    assert sink.dead_letters() == []


def test_parents_and_children_that_are_all_there_cost_no_waiting(
    family: Callable[..., tuple[Sink, str, str]],
) -> None:
    sink, children, parents = family()
    sink.send(*(child(children, number, number, number % 2) for number in range(MANY)))
    sink.send(*(parent(parents, number, number % 2) for number in range(MANY)))
    sink.run()
    assert (count(sink, "parents"), count(sink, "children"), sink.dead_letters()) == (MANY, MANY, [])


def test_orphans_are_parked_after_one_wait_and_their_neighbours_are_applied_in_order(
    family: Callable[..., tuple[Sink, str, str]],
) -> None:
    sink, children, parents = family(wait="2s")
    sink.send(*(parent(parents, number) for number in range(0, 200, 2)))
    sink.send(*(child(children, number, number) for number in range(200)))
    with capture_logs() as lines:
        sink.run()
    assert count(sink, "children") == 100
    assert sink.column("SELECT kafka_offset FROM inbox.dead_letters ORDER BY 1") == list(range(1, 200, 2))
    awaited = [line["address"] for line in lines if line["event"] == "row-awaited"]
    assert awaited == [f"{children}[0]@1"]
    assert sink.endings() == {"applied": 200, "dead_lettered": 100}


def test_an_orphan_holds_up_its_own_partition_alone(family: Callable[..., tuple[Sink, str, str]]) -> None:
    sink, children, parents = family()
    sink.send(parent(parents, 1), child(children, 1, 1, 0), child(children, 2, 99, 0), child(children, 3, 1, 0))
    with sink.running():
        eventually(lambda: count(sink, "children") == 1, what="the child before the orphan")
        sink.send(parent(parents, 2), child(children, 4, 2, 1))
        eventually(lambda: count(sink, "children") == 2, what="a child of the other partition")
        assert sink.column("SELECT id FROM children ORDER BY 1") == [1, 4]
        sink.send(parent(parents, 99))
        with taking_at_most(10):
            eventually(lambda: count(sink, "children") == 4, what="the orphan, and those behind it")
    assert sink.dead_letters() == []


def test_a_row_that_another_worker_brings_is_waited_for_as_long_as_it_moves(
    family: Callable[..., tuple[Sink, str, str]],
) -> None:
    sink, children, parents = family()
    with sink.running(), sink.running():
        owners = "SELECT count(DISTINCT owner) FROM inbox.partitions"
        eventually(lambda: sink.column(owners) == [2], what="both workers to own partitions")
        sink.send(*(child(children, number, number, number % 2) for number in range(MANY)))
        sink.send(*(parent(parents, number, number % 2) for number in reversed(range(MANY))))
        eventually(lambda: count(sink, "children") == MANY, what="all children")
    assert sink.dead_letters() == []


def test_a_restart_begins_the_wait_again_and_no_more(family: Callable[..., tuple[Sink, str, str]]) -> None:
    sink, children, parents = family(wait="2s")
    sink.send(parent(parents, 1), child(children, 1, 99), child(children, 2, 1))
    with sink.running():
        eventually(lambda: count(sink, "parents") == 1, what="the parent")
    assert sink.dead_letters() == []
    sink.run()
    assert sink.column("SELECT error_class FROM inbox.dead_letters") == ["EventError"]
    assert sink.column("SELECT id FROM children") == [2]


def test_with_no_time_to_wait_an_orphan_is_parked_at_once(family: Callable[..., tuple[Sink, str, str]]) -> None:
    sink, children, parents = family(wait="0s")
    sink.send(parent(parents, 1))
    sink.run()
    sink.send(child(children, 1, 99), child(children, 2, 1))
    sink.run()
    assert sink.column("SELECT kafka_offset FROM inbox.dead_letters") == [0]
    assert sink.column("SELECT id FROM children") == [2]


def test_two_routes_of_one_topic_bring_each_other_their_rows(
    make_sink: Callable[..., Sink], make_topic: MakeTopic
) -> None:
    """The children's route comes first in the configuration, and each parent right before its child."""
    sink = make_sink()
    routes = ROUTES.format(children=sink.topic, parents=sink.topic, mode="upsert")
    typed = routes.replace(
        'name = "children"\n', 'name = "children"\ntypes = ["Child"]\nevent_type = "header:type"\n', 1
    ).replace('name = "parents"\n', 'name = "parents"\ntypes = ["Parent"]\nevent_type = "header:type"\n', 1)
    sink.configure(typed)
    sink.sql(TABLES.format(deferred=""))
    for number in range(500):
        sink.send(
            Out(number, {"id": number}, headers={"type": "Parent"}),
            Out(10_000 + number, {"id": number, "parent": number}, headers={"type": "Child"}),
        )
    sink.run()
    assert (count(sink, "parents"), count(sink, "children"), sink.dead_letters()) == (500, 500, [])


def test_a_handlers_statement_and_a_triggers_look_up_wait_too(
    make_sink: Callable[..., Sink], offer: Callable[..., None]
) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        document = event.json()
        if "parent" in document:
            tx.execute("INSERT INTO children VALUES (%s, %s)", (document["id"], document["parent"]))
        else:
            tx.execute("INSERT INTO parents VALUES (%s)", (document["id"],))

    sink = make_sink(partitions=2)
    offer(handler=handler)
    sink.configure('[[routes]]\ntopic = "TOPIC"\nhandler = "handler"\n')
    sink.sql("CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (id int PRIMARY KEY, parent int)")
    sink.sql(
        "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$DECLARE found int; BEGIN "
        "SELECT id INTO STRICT found FROM parents WHERE id = NEW.parent; RETURN NEW; END$$"
    )
    sink.sql("CREATE TRIGGER look BEFORE INSERT ON children FOR EACH ROW EXECUTE FUNCTION look()")
    sink.send(*(child(sink.topic, number, number, 0) for number in range(50)))
    with sink.running():
        eventually(lambda: sink.next_offsets(), what="the ledger")
        sink.send(*(parent(sink.topic, number, 1) for number in range(50)))
        eventually(lambda: count(sink, "children") == 50, what="all children")
    assert sink.dead_letters() == []


INSERT_CHILD = "INSERT INTO children VALUES (%s, %s)"


def by_pipeline(tx: Transaction, row: tuple[int, int]) -> None:
    tx.execute(INSERT_CHILD, row)


def by_fetching(tx: Transaction, row: tuple[int, int]) -> None:
    tx.fetch_one(f"{INSERT_CHILD} RETURNING id", row)


def by_many(tx: Transaction, row: tuple[int, int]) -> None:
    tx.executemany(INSERT_CHILD, [row])


def by_sqlalchemy(tx: Transaction, row: tuple[int, int]) -> None:
    tx.connection.exec_driver_sql(INSERT_CHILD, row)


def by_an_error_of_its_own(tx: Transaction, row: tuple[int, int]) -> None:
    try:
        tx.fetch_one(f"{INSERT_CHILD} RETURNING id", row)
    except Exception as error:
        raise ValueError("no such parent") from error


@pytest.mark.parametrize("deferred", ["", "DEFERRABLE INITIALLY DEFERRED"])
@pytest.mark.parametrize("insert", [by_pipeline, by_fetching, by_many, by_sqlalchemy, by_an_error_of_its_own])
@pytest.mark.parametrize("batch", [False, True])
def test_a_handler_that_misses_a_row_of_another_topic_waits_for_it(
    make_sink: Callable[..., Sink],
    make_topic: MakeTopic,
    offer: Callable[..., None],
    insert: Callable[[Transaction, tuple[int, int]], None],
    batch: bool,
    deferred: str,
) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        document = event.json()
        insert(tx, (document["id"], document["parent"]))

    def batch_handler(events: Sequence[Event], tx: Transaction) -> None:
        for event in events:
            handler(event, tx)

    sink, parents = make_sink(), make_topic()
    offer(handler=inbox.handler(batch=True)(batch_handler) if batch else handler)
    of_parents = ROUTES[ROUTES.index('[[routes]]\nname = "parents"') :].format(parents=parents, mode="insert")
    sink.configure(f'[[routes]]\ntopic = "TOPIC"\nhandler = "handler"\n{of_parents}')
    sink.sql(TABLES.format(deferred=deferred))
    sink.send(*(child(sink.topic, number, number) for number in range(20)))
    with sink.running():
        eventually(lambda: sink.next_offsets(), what="the ledger")
        sink.send(*(parent(parents, number) for number in range(20)))
        eventually(lambda: count(sink, "children") == 20, what="all children")
    assert sink.dead_letters() == []
