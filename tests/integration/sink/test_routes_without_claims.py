"""A route with `event_id = "coordinates"` keeps no claims: the ledger is the claim."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from inbox.events import Event, TopicPartition
from inbox.failpoints import Failpoint
from inbox.handlers import Transaction
from inbox.sink.event_id import coordinates_id
from inbox.store.inbox.settled_ranges import SettledRanges
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, Fussy
from tests.support.kafka_tools import consumer_groups
from tests.support.sink.logs import effects
from tests.support.sink.running import Out, Sink

WITHOUT_CLAIMS = HANDLER_ROUTE + 'event_id = "coordinates"\n'
TABLE = """
[[routes]]
name = "rows"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.rows"
mode = "append"
[routes.table.columns]
n = "/n"
at = "$offset"
"""

At = Callable[..., None]


def numbered(number: int, key: str | None = None) -> Out:
    return Out(None, {"n": number}, key)


def numbers(first: int, last: int) -> list[Out]:
    return [numbered(number) for number in range(first, last + 1)]


def note(event: Event, tx: Transaction) -> None:
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.json()["n"],))


@pytest.fixture
def handled(sink: Sink, offer: Callable[..., None]) -> Sink:
    """A sink whose handler notes each event, without claims."""
    offer(handler=note)
    sink.configure(WITHOUT_CLAIMS, sink="batch_events = 2")
    sink.sql(EFFECTS)
    return sink


@pytest.fixture
def ten(handled: Sink) -> Sink:
    """Events 1 to 10, at offsets 0 to 9, are applied."""
    handled.send(*numbers(1, 10))
    handled.run()
    assert effects(handled) == [*range(1, 11)]
    return handled


def replay(sink: Sink, *arguments: str) -> None:
    assert sink.command("replay", "--topic", sink.topic, *arguments, "--execute") == 0
    sink.run()


def ranges(sink: Sink) -> list[tuple[Any, ...]]:
    return sink.sql("SELECT from_offset, until_offset FROM inbox.settled_ranges ORDER BY 1")


def audited(sink: Sink, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    code = sink.command("audit", "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert code == (not found["ok"])
    return found


def test_no_row_of_claims_is_written(ten: Sink) -> None:
    assert ten.sql("SELECT count(*) FROM inbox.processed") == [(0,)]
    assert ten.endings() == {"applied": 10}


def test_a_table_is_written_without_claims_on_the_fast_path(sink: Sink) -> None:
    sink.configure(TABLE, sink="batch_events = 700")
    sink.sql("CREATE TABLE rows (n int, at bigint)")
    sink.send(*numbers(0, 2999))
    sink.run()
    assert sink.sql("SELECT count(*), count(DISTINCT at), sum(n), count(*) FILTER (WHERE n = at) FROM rows") == [
        (3000, 3000, sum(range(3000)), 3000)
    ]
    assert sink.sql("SELECT count(*) FROM inbox.processed") == [(0,)]


def test_sessions_that_end_anywhere_repeat_and_lose_nothing(handled: Sink, at: At) -> None:
    """Before the fence, behind it, while COMMIT is under way, and once it is answered."""
    handled.send(*numbers(1, 10))
    at(Failpoint.CLAIMED, handled.end_its_connection)
    at(Failpoint.FENCED, handled.end_its_connection, hit=2)
    for hit in (2, 3):
        at(Failpoint.COMMIT_SENT, handled.end_its_connection, hit=hit)
    at(Failpoint.COMMITTED, handled.end_its_connection, hit=3)
    handled.run()
    assert effects(handled) == [*range(1, 11)]
    assert handled.next_offsets() == {0: 10}


def test_a_worker_that_lost_its_partition_changes_nothing(handled: Sink, at: At) -> None:
    handled.send(*numbers(1, 4))
    take_over = "UPDATE inbox.partitions SET owner = 'another', owner_epoch = owner_epoch + 1, next_offset = 2"
    at(Failpoint.HANDLED, lambda: handled.sql(take_over))
    with handled.running():
        handled.eventually_settled(2)
    assert effects(handled) == []


def test_a_group_that_is_reset_in_kafka_brings_nothing_again(ten: Sink) -> None:
    consumer_groups(
        ten.bootstrap_servers,
        "--group",
        ten.name,
        "--topic",
        ten.topic,
        "--reset-offsets",
        "--to-earliest",
        "--execute",
    )
    ten.send(numbered(11))
    ten.run()
    assert effects(ten) == [*range(1, 12)]


def test_a_ledger_that_was_set_back_by_hand_finds_duplicates(ten: Sink) -> None:
    ten.sql("UPDATE inbox.partitions SET next_offset = 3, owner_epoch = owner_epoch + 1")
    ten.send(numbered(11))
    ten.run()
    assert effects(ten) == [*range(1, 12)]
    assert ten.next_offsets() == {0: 11}


def test_a_resume_in_the_same_log_brings_duplicates_alone(ten: Sink) -> None:
    again = ("--from-offset", "4", "--accept-loss", "--execute")
    assert ten.command("resume", "--topic", ten.topic, *again) == 0
    ten.run()
    assert effects(ten) == [*range(1, 11)]


def test_what_the_ledger_has_stays_as_it_is(ten: Sink) -> None:
    replay(ten, "--from-earliest")
    assert effects(ten) == [*range(1, 11)]
    assert ten.sql("SELECT applied, duplicate FROM inbox.replay_ranges") == [(0, 10)]
    assert ranges(ten) == []


def test_force_applies_each_event_once_more_although_sessions_end(ten: Sink, at: At) -> None:
    for hit in (1, 3):
        at(Failpoint.COMMIT_SENT, ten.end_its_connection, hit=hit)
    at(Failpoint.COMMITTED, ten.end_its_connection, hit=2)
    replay(ten, "--from-offset", "2", "--until-offset", "8", "--mode", "force")
    assert sorted(effects(ten)) == sorted([*range(1, 11), *range(3, 9)])


def test_shadow_tries_and_changes_nothing(ten: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    shadow = ("--from-earliest", "--mode", "shadow", "--execute", "--json")
    assert ten.command("replay", "--topic", ten.topic, *shadow) == 0
    [found] = json.loads(capsys.readouterr().out)["routes"]
    assert (found["applied"], found["duplicate"], found["fails_now"]) == (10, 0, 0)
    assert effects(ten) == [*range(1, 11)]


def test_the_plan_says_what_the_ledger_has(ten: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert ten.command("replay", "--topic", ten.topic, "--from-offset", "3", "--json") == 0
    [step] = json.loads(capsys.readouterr().out)["partitions"]
    assert (step["records"], step["applied"], step["lacking"]) == (7, 7, 0)


@pytest.fixture
def added(sink: Sink, offer: Callable[..., None]) -> Sink:
    def first(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, 'first')", (event.json()["n"],))

    def added(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, 'added')", (event.json()["n"],))

    offer(first=first, added=added)
    sink.sql(EFFECTS)
    route = '[[routes]]\ntopic = "TOPIC"\nevent_id = "coordinates"\nhandler = "{}"\n'
    sink.configure(route.format("first"))
    sink.send(*numbers(1, 6))
    sink.run()
    sink.configure(route.format("first") + route.format("added"), sink="batch_events = 2")
    sink.send(*numbers(7, 8))
    sink.run()
    assert of(sink, "added") == [7, 8]
    return sink


def of(sink: Sink, route: str) -> list[int]:
    return sink.column("SELECT event FROM effects WHERE key = %s ORDER BY 1", (route,))


def test_a_replay_from_the_start_runs_the_added_route_alone(added: Sink) -> None:
    replay(added, "--from-earliest")
    assert of(added, "added") == [*range(1, 9)]
    assert of(added, "first") == [*range(1, 9)]
    assert ranges(added) == [(0, 6)]


def test_a_second_replay_runs_nothing(added: Sink) -> None:
    replay(added, "--from-offset", "2", "--until-offset", "4")
    replay(added, "--from-earliest")
    replay(added, "--from-earliest")
    assert of(added, "added") == [*range(1, 9)]


def test_a_replay_in_which_sessions_end_runs_each_event_once(added: Sink, at: At) -> None:
    at(Failpoint.COMMIT_SENT, added.end_its_connection)
    at(Failpoint.FENCED, added.end_its_connection, hit=3)
    at(Failpoint.COMMITTED, added.end_its_connection, hit=2)
    replay(added, "--from-earliest")
    assert of(added, "added") == [*range(1, 9)]


def test_a_replay_of_the_other_route_counts_for_that_route_alone(added: Sink) -> None:
    replay(added, "--from-earliest", "--route", "first")
    replay(added, "--from-earliest")
    assert of(added, "added") == [*range(1, 9)]


def test_an_audit_asks_for_what_the_route_owes(added: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    found = {each["route"]: each for each in audited(added, capsys)["partitions"][0]["routes"]}
    assert (found["first"]["applied"], found["added"]["applied"]) == (8, 2)
    replay(added, "--from-earliest")
    found = {each["route"]: each for each in audited(added, capsys)["partitions"][0]["routes"]}
    assert (found["added"]["applied"], found["added"]["missing"], found["added"]["by"]) == (8, 0, "ledger")


def test_a_route_that_was_retired_meanwhile_remembers_what_it_settled(added: Sink) -> None:
    routes = '[[routes]]\ntopic = "TOPIC"\nevent_id = "coordinates"\nhandler = "{}"\n'
    added.configure(routes.format("first"), sink='retired_routes = ["added"]')
    added.send(numbered(9))
    added.run()
    added.configure(routes.format("first") + routes.format("added"))
    added.send(numbered(10))
    added.run()
    assert of(added, "added") == [7, 8, 10]
    replay(added, "--from-earliest")
    assert of(added, "added") == [*range(1, 11)]


def test_what_a_resume_passed_over_is_not_settled(added: Sink) -> None:
    added.send(*numbers(9, 12))
    passed = ("--from-offset", "10", "--accept-loss", "--execute")
    assert added.command("resume", "--topic", added.topic, *passed) == 0
    added.run()
    assert of(added, "added") == [7, 8, 11, 12]
    replay(added, "--from-offset", "6")
    assert of(added, "added") == [*range(7, 13)]
    replay(added, "--from-offset", "6")
    assert of(added, "added") == [*range(7, 13)]


@pytest.fixture
def parked(sink: Sink, offer: Callable[..., None], fussy: Fussy) -> Sink:
    """Events 1 to 5. Of key a 1 is parked, 2 and 4 wait; 3 of key b is applied; 5 without a key is parked."""
    offer(handler=fussy)
    sink.configure(WITHOUT_CLAIMS)
    sink.sql(EFFECTS)
    fussy.refused = {1, 5}
    sink.send(*(numbered(number, key) for number, key in ((1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, None))))
    sink.run()
    assert sink.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting"), (4, "parked")]
    return sink


def test_a_retry_applies_each_once_in_order(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    assert parked.command("dead-letters", "retry", "--all", "--execute") == 0
    assert parked.command("dead-letters", "retry", "--all", "--execute") == 0
    assert parked.column("SELECT event FROM effects WHERE key = %s ORDER BY position", ("b'a'",)) == [1, 2, 4]
    assert sorted(effects(parked)) == [1, 2, 3, 4, 5]
    assert parked.sql("SELECT count(*) FROM inbox.processed") == [(0,)]


def test_a_replay_leaves_them_as_they_are(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    replay(parked, "--from-earliest")
    assert parked.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting"), (4, "parked")]
    assert effects(parked) == [3]


def test_what_a_forced_replay_applies_is_a_dead_letter_no_more(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    replay(parked, "--from-earliest", "--mode", "force")
    assert parked.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting"), (4, "retried")]
    assert parked.command("dead-letters", "retry", "--all", "--execute") == 0
    assert sorted(effects(parked)) == [1, 2, 3, 3, 4, 5]


def test_what_was_given_up_is_not_forced_and_makes_no_claim(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    assert parked.command("dead-letters", "discard", "--all", "--execute") == 0
    replay(parked, "--from-earliest", "--mode", "force")
    assert effects(parked) == [3, 3]
    assert parked.sql("SELECT count(*) FROM inbox.processed") == [(0,)]


def test_an_audit_counts_them(parked: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    [part] = audited(parked, capsys)["partitions"]
    assert (part["applied"], part["dead_lettered"], part["missing"]) == (1, 4, 0)


def test_routes_with_and_without_claims_on_one_topic(sink: Sink, offer: Callable[..., None]) -> None:
    def with_claims(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, 'with')", (event.json()["n"],))

    def without(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, 'without')", (event.json()["n"],))

    offer(with_claims=with_claims, without=without)
    sink.configure(
        '[[routes]]\ntopic = "TOPIC"\nhandler = "with_claims"\n'
        '[[routes]]\ntopic = "TOPIC"\nhandler = "without"\nevent_id = "coordinates"\n'
    )
    sink.sql(EFFECTS)
    sink.send(*(Out(number, {"n": number}) for number in (1, 2, 1, 3)))
    sink.run()
    replay(sink, "--from-earliest")
    assert sink.column("SELECT event FROM effects WHERE key = 'with' ORDER BY 1") == [1, 2, 3]
    assert sink.column("SELECT event FROM effects WHERE key = 'without' ORDER BY 1") == [1, 1, 2, 3]
    assert sink.sql("SELECT count(*) FROM inbox.processed") == [(3,)]


def test_claims_from_before_still_count_where_the_ledger_does_not_know(ten: Sink) -> None:
    """A sink of before this version kept claims for what a replay settled below the route's start."""
    ten.sql("UPDATE inbox.route_starts SET from_offset = 6")
    ten.sql("DELETE FROM inbox.settled_ranges")
    [(topic_id,)] = ten.sql("SELECT topic_id FROM inbox.partitions")
    for offset in (2, 3):
        claim = coordinates_id(TopicPartition(ten.topic, 0), topic_id, offset)
        ten.sql(
            "INSERT INTO inbox.processed (event_id, kafka_offset, payload_hash, partition_id, route_id) "
            "SELECT encode(%s, 'hex')::uuid, %s, 0, partition_id, route_id FROM inbox.partitions, inbox.routes",
            (claim, offset),
        )
    replay(ten, "--from-earliest")
    assert sorted(effects(ten)) == sorted([*range(1, 11), 1, 2, 5, 6])


def test_an_audit_says_that_it_asked_the_ledger_alone(ten: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert ten.command("audit") == 0
    assert "by the ledger alone: route handler" in capsys.readouterr().out


def table_route(name: str, *more: str) -> str:
    """Return a route without claims that appends to the table of its name."""
    return "\n".join(
        (
            f'[[routes]]\nname = "{name}"\ntopic = "TOPIC"\nevent_id = "coordinates"',
            *more,
            f'[routes.table]\nname = "public.{name}"\nmode = "append"\n[routes.table.columns]\nn = "/n"\n',
        )
    )


def resume(sink: Sink, offset: int) -> None:
    arguments = ("--topic", sink.topic, "--from-offset", str(offset), "--accept-loss", "--execute")
    assert sink.command("resume", *arguments) == 0
    sink.run()


@pytest.fixture
def tables(sink: Sink) -> Sink:
    """Ten events are applied by the route `rows`, three to a transaction; `added` may have a table too, without a 9."""
    sink.sql("CREATE TABLE rows (n int)")
    sink.sql("CREATE TABLE added (n int CHECK (n <> 9))")
    sink.configure(table_route("rows"), sink="batch_events = 3")
    sink.send(*numbers(1, 10))
    sink.run()
    return sink


def test_an_attempt_that_is_undone_leaves_what_the_route_settled_written_down(tables: Sink) -> None:
    """The fast path meets an event that cannot be applied, as the first attempt of its transaction."""
    tables.configure(table_route("added") + table_route("rows"), sink="batch_events = 3")
    resume(tables, 0)
    assert ranges(tables) == [(0, 10)]
    resume(tables, 0)
    assert tables.column("SELECT n FROM added ORDER BY n") == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert tables.column("SELECT n FROM rows ORDER BY n") == [*range(1, 11)]


def test_a_route_without_events_writes_down_what_it_settled_before_the_commit(
    tables: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    add = SettledRanges.add

    def watched(self: SettledRanges, partition_id: int, route_id: int, offsets: range) -> None:
        add(self, partition_id, route_id, offsets)
        found.append(self._connection.info.transaction_status.name)

    monkeypatch.setattr(SettledRanges, "add", watched)
    tables.sql("CREATE TABLE behind (n int)")
    tables.sql("ALTER TABLE added DROP CONSTRAINT added_n_check")
    routes = table_route("rows") + table_route("added") + table_route("behind", 'types = ["another"]')
    tables.configure(routes, sink="batch_events = 3")
    resume(tables, 0)
    assert tables.column("SELECT n FROM added ORDER BY n") == [*range(1, 11)]
    assert found
    assert set(found) == {"INTRANS"}
