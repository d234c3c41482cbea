"""Dead letters retried and discarded, beside a sink that runs and alone, on real servers."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer

from inbox.errors import EventError
from inbox.events import Event
from inbox.failpoints import Failpoint
from inbox.handlers import Transaction
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, Fussy, numbered
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually, taking_at_most

At = Callable[..., None]
MakeProducer = Callable[..., Producer]
MakeSink = Callable[..., Sink]
Offer = Callable[..., None]

TIMES = """
[[routes]]
topic = "TOPIC"
[routes.table]
name = "public.times"
mode = "upsert"
key = ["id"]
[routes.table.columns]
id = "$key"
moment = "$timestamp"
"""

TAKES_HOLD_SECONDS = 5.0


def applied(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


def states(sink: Sink) -> dict[str, int]:
    return dict(sink.sql("SELECT state, count(*)::int FROM inbox.dead_letters GROUP BY state"))


def owner_epoch(sink: Sink) -> int:
    [epoch] = sink.column("SELECT owner_epoch FROM inbox.partitions")
    return int(epoch)


def retry_of_a(sink: Sink) -> int:
    return sink.command("dead-letters", "retry", "--key", "a", "--execute", "--by", "ada")


@contextmanager
def beside(action: Callable[[], object]) -> Iterator[None]:
    """Runs `action` on a thread of its own, which has ended when the context has."""
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield
    finally:
        thread.join(120)
    assert not thread.is_alive()


def waits_for_a_lock(sink: Sink, name: str) -> bool:
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s "
        "AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    return bool(sink.sql(waiting, [name]))


def test_a_retry_applies_the_events_of_a_key_in_order(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = {5}
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute", "--by", "ada") == 0
    assert applied(parked) == [3, 1, 2, 4]
    assert states(parked) == {"retried": 3, "parked": 1}
    assert set(parked.column("SELECT resolved_by FROM inbox.dead_letters WHERE state = 'retried'")) == {"ada"}
    assert parked.column("SELECT count(*) FROM inbox.processed") == [4]


def test_without_execute_nothing_is_changed(parked: Sink, fussy: Fussy, capsys: pytest.CaptureFixture[str]) -> None:
    fussy.refused = set()
    before = parked.sql("SELECT * FROM inbox.dead_letters"), parked.sql("SELECT * FROM inbox.partitions")
    tries = len(fussy.seen)
    capsys.readouterr()
    assert parked.command("dead-letters", "retry", "--all") == 0
    out = capsys.readouterr().out
    assert "would apply 3 events, route handler, " + parked.topic + '[0], key "a" from offset 0' in out
    assert "2 waiting behind the first" in out
    assert "would apply dead letter" in out
    assert "nothing was changed; add --execute to do it" in out
    assert before == (parked.sql("SELECT * FROM inbox.dead_letters"), parked.sql("SELECT * FROM inbox.partitions"))
    assert len(fussy.seen) == tries


def test_a_retry_stops_at_the_first_that_fails_again(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = {2}
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute") == 1
    assert applied(parked) == [3, 1]
    assert parked.dead_letters() == [(0, "retried"), (1, "parked"), (3, "waiting"), (4, "parked")]
    assert parked.dead_letter_errors()[1] == "number 2 is refused"
    assert parked.column("SELECT attempts FROM inbox.dead_letters WHERE kafka_offset = 1") == [1]
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute") == 1
    assert parked.column("SELECT attempts FROM inbox.dead_letters WHERE kafka_offset = 1") == [2]


def test_an_event_without_a_key_stands_alone(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    [alone] = parked.column("SELECT dead_letter_id FROM inbox.dead_letters WHERE kafka_offset = 4")
    assert parked.command("dead-letters", "retry", str(alone), "--execute") == 0
    assert applied(parked) == [3, 5]
    assert states(parked) == {"retried": 1, "parked": 1, "waiting": 2}


def test_a_later_event_of_a_key_is_retried_with_all_before_it(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    [last] = parked.column("SELECT dead_letter_id FROM inbox.dead_letters WHERE kafka_offset = 3")
    assert parked.command("dead-letters", "retry", str(last), "--execute") == 0
    assert applied(parked) == [3, 1, 2, 4]


def test_a_second_retry_finds_nothing_to_do(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    assert retry_of_a(parked) == 0
    assert retry_of_a(parked) == 0
    assert applied(parked) == [3, 1, 2, 4]


def test_a_retry_of_an_event_that_was_applied_meanwhile_applies_it_not_twice(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = set()
    parked.send(numbered(5, None))
    parked.run()
    assert applied(parked) == [3, 5]
    assert parked.command("dead-letters", "retry", "--all", "--execute") == 0
    assert applied(parked) == [3, 5, 1, 2, 4] or applied(parked) == [3, 1, 2, 4, 5]
    assert states(parked) == {"retried": 4}


def test_many_letters_of_a_key_are_retried_in_parts(handled_by: Callable[..., Sink], fussy: Fussy) -> None:
    sink = handled_by(fussy, sink="batch_events = 3")
    fussy.refused = {1}
    sink.send(*(numbered(number, "a") for number in range(1, 11)))
    sink.run()
    fussy.refused = set()
    assert retry_of_a(sink) == 0
    assert applied(sink) == list(range(1, 11))


def test_a_key_that_fails_again_undoes_no_other_of_its_transaction(
    handled_by: Callable[..., Sink], fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = handled_by(fussy)
    fussy.refused = {1, 2, 3, 10}
    sink.send(*(numbered(number, "abc"[number % 3]) for number in range(1, 10)), numbered(10, None))
    sink.run()
    sink.send(numbered(10, "d"))
    fussy.refused = {5}
    sink.run()
    before = owner_epoch(sink)
    capsys.readouterr()
    assert sink.command("dead-letters", "retry", "--all", "--execute", "--json") == 1
    found = json.loads(capsys.readouterr().out)["keys"]
    names = ("key", "applied", "duplicate", "still_waiting")
    assert [tuple(each[name] for name in names) for each in found] == [
        ("a", 3, 0, 0),
        ("b", 3, 0, 0),
        ("c", 1, 0, 1),
        (None, 0, 1, 0),
    ]
    assert owner_epoch(sink) == before + 1
    by_key = [[number for number in applied(sink) if number % 3 == key and number != 10] for key in (0, 1, 2)]
    assert by_key == [[3, 6, 9], [1, 4, 7], [2]]
    assert applied(sink).count(10) == 1


# Beside a running sink.


def test_a_running_sink_applies_what_comes_after_a_retry(parked: Sink, fussy: Fussy) -> None:
    with parked.running():
        fussy.refused = set()
        eventually(lambda: owner_epoch(parked) >= 2, what="the sink's start")
        assert retry_of_a(parked) == 0
        parked.send(numbered(6, "a"))
        parked.eventually_settled(6)
    assert applied(parked) == [3, 1, 2, 4, 6]
    assert states(parked) == {"retried": 3, "parked": 1}


def test_an_idle_sink_learns_of_a_retry_within_five_seconds(parked: Sink, fussy: Fussy) -> None:
    with parked.running():
        fussy.refused = set()
        eventually(lambda: owner_epoch(parked) == 2, what="the sink's start")
        assert retry_of_a(parked) == 0
        with taking_at_most(TAKES_HOLD_SECONDS):
            eventually(lambda: owner_epoch(parked) == 4, what="the sink to acquire again")


def test_what_a_retry_leaves_parked_keeps_later_events_waiting(parked: Sink, fussy: Fussy) -> None:
    with parked.running():
        fussy.refused = {2}
        assert retry_of_a(parked) == 1
        parked.send(numbered(6, "a"), numbered(7, "b"))
        parked.eventually_settled(7)
    assert applied(parked) == [3, 1, 7]
    assert parked.dead_letters() == [(0, "retried"), (1, "parked"), (3, "waiting"), (4, "parked"), (5, "waiting")]


@pytest.mark.parametrize("point", [Failpoint.ACQUIRED, Failpoint.PARKED])
def test_a_retry_between_the_sinks_reading_of_parked_keys_and_its_fence_leaves_nothing_waiting(
    parked: Sink, fussy: Fussy, at: At, point: Failpoint
) -> None:
    fussy.refused = set()
    at(point, lambda: retry_of_a(parked))
    parked.send(numbered(6, "a"))
    with parked.running():
        parked.eventually_settled(6)
    assert applied(parked) == [3, 1, 2, 4, 6]
    assert states(parked) == {"retried": 3, "parked": 1}


def test_a_retry_waits_for_a_batch_that_is_past_its_fence_and_takes_what_it_parked_along(
    parked: Sink, fussy: Fussy, at: At
) -> None:
    fussy.refused = set()
    fenced = threading.Event()

    def until_the_retry_waits() -> None:
        fenced.set()
        eventually(lambda: waits_for_a_lock(parked, "inbox dead-letters"), what="the retry to wait")

    at(Failpoint.FENCED, until_the_retry_waits)
    parked.send(numbered(6, "a"))
    with parked.running():
        assert fenced.wait(120)
        assert retry_of_a(parked) == 0
        parked.send(numbered(7, "a"))
        parked.eventually_settled(7)
    assert applied(parked) == [3, 1, 2, 4, 6, 7]
    assert states(parked) == {"retried": 4, "parked": 1}


def test_a_batch_waits_for_a_retry_that_is_under_way_and_follows_it(parked: Sink, fussy: Fussy, at: At) -> None:
    fussy.refused = set()
    with parked.running():
        eventually(lambda: owner_epoch(parked) == 2, what="the sink's start")

        def until_the_sink_waits() -> None:
            parked.send(numbered(6, "a"), numbered(7, "b"))
            eventually(lambda: waits_for_a_lock(parked, "kafka-inbox %"), what="the sink to wait")

        at(Failpoint.HANDLED, until_the_sink_waits)
        assert retry_of_a(parked) == 0
        parked.eventually_settled(7)
    assert applied(parked) == [3, 1, 2, 4, 6, 7]
    assert states(parked) == {"retried": 3, "parked": 1}


def test_a_deadlock_with_the_sink_is_waited_out(parked: Sink, fussy: Fussy, at: At) -> None:
    """The sink has the claim of a duplicate of event 5 and wants the ledger, the retry the other way round."""
    fussy.refused = set()
    with parked.running():
        eventually(lambda: owner_epoch(parked) == 2, what="the sink's start")

        def until_the_sink_waits() -> None:
            parked.send(numbered(5, None))
            eventually(lambda: waits_for_a_lock(parked, "kafka-inbox %"), what="the sink to wait")

        at(Failpoint.BEGUN, lambda: None)
        at(Failpoint.HANDLED, until_the_sink_waits)
        assert parked.command("dead-letters", "retry", "--all", "--execute") == 0
        parked.eventually_settled(6)
    assert sorted(applied(parked)) == [1, 2, 3, 4, 5]
    assert states(parked) == {"retried": 4}


def test_a_connection_that_is_killed_in_the_middle_leaves_all_or_nothing(parked: Sink, fussy: Fussy, at: At) -> None:
    fussy.refused = set()
    seen = []

    def kill() -> None:
        parked.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'inbox dead-letters' AND pid <> pg_backend_pid()"
        )
        seen.append((applied(parked), states(parked), owner_epoch(parked)))

    before = (applied(parked), states(parked), owner_epoch(parked))
    at(Failpoint.HANDLED, kill)
    assert retry_of_a(parked) == 0
    assert seen == [before]
    assert applied(parked) == [3, 1, 2, 4]
    assert states(parked) == {"retried": 3, "parked": 1}


def test_two_retries_of_one_key_at_once_apply_it_once(parked: Sink, fussy: Fussy, at: At) -> None:
    fussy.refused = set()
    codes: list[int] = []
    inside = threading.Event()

    def until_the_other_waits() -> None:
        inside.set()
        eventually(lambda: waits_for_a_lock(parked, "inbox dead-letters"), what="the second retry to wait")

    at(Failpoint.HANDLED, until_the_other_waits)
    with beside(lambda: codes.append(retry_of_a(parked))):
        assert inside.wait(120)
        codes.append(retry_of_a(parked))
    assert codes == [0, 0]
    assert applied(parked) == [3, 1, 2, 4]
    assert states(parked) == {"retried": 3, "parked": 1}


# Discarding.


def test_a_discard_gives_up_what_is_meant_and_tells_what_waits_behind(
    parked: Sink, fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    fussy.refused = set()
    first, second = parked.column("SELECT dead_letter_id FROM inbox.dead_letters ORDER BY kafka_offset LIMIT 2")
    capsys.readouterr()
    assert parked.command("dead-letters", "discard", str(first), "--execute", "--by", "ada") == 0
    told = f"2 of the same key stay open: `inbox dead-letters retry {second} --execute` applies them in order"
    assert told in capsys.readouterr().out
    assert parked.dead_letters() == [(0, "discarded"), (1, "waiting"), (3, "waiting"), (4, "parked")]
    assert parked.command("dead-letters", "retry", str(second), "--execute") == 0
    assert applied(parked) == [3, 2, 4]


def test_no_duplicate_of_a_discarded_event_is_applied_later(parked: Sink, fussy: Fussy) -> None:
    with parked.running():
        assert parked.command("dead-letters", "discard", "--all", "--execute") == 0
        fussy.refused = set()
        parked.send(numbered(5, None), numbered(1, "a"), numbered(8, "a"))
        parked.eventually_settled(8)
    assert applied(parked) == [3, 8]
    assert states(parked) == {"discarded": 4}
    assert parked.endings() == {"applied": 2, "duplicate": 2, "dead_lettered": 4}


# Replays.


def goes_back(sink: Sink) -> None:
    sink.sql("UPDATE inbox.partitions SET next_offset = 0, owner_epoch = owner_epoch + 1")


def test_a_replay_finds_duplicates_before_a_parked_event_and_parks_nothing_twice(
    handled_by: Callable[..., Sink], fussy: Fussy
) -> None:
    sink = handled_by(fussy)
    fussy.refused = {2}
    sink.send(*(numbered(number, "a") for number in (1, 2, 3)))
    sink.run()
    goes_back(sink)
    fussy.refused = set()
    sink.run()
    assert applied(sink) == [1]
    assert sink.dead_letters() == [(1, "parked"), (2, "waiting")]
    assert sink.endings() == {"applied": 1, "dead_lettered": 2}
    assert retry_of_a(sink) == 0
    assert applied(sink) == [1, 2, 3]


def test_a_discarded_event_without_an_id_is_open_again_after_a_replay(
    handled_by: Callable[..., Sink], fussy: Fussy
) -> None:
    sink = handled_by(fussy)
    sink.send(Out(None, {"n": 1}, "a"), numbered(2, "b"))
    sink.run()
    assert sink.command("dead-letters", "discard", "--all", "--execute") == 0
    goes_back(sink)
    sink.send(numbered(3, "a"))
    sink.run()
    assert sink.dead_letters() == [(0, "parked"), (2, "waiting")]
    assert sink.sql("SELECT DISTINCT resolved_at, resolved_by FROM inbox.dead_letters") == [(None, None)]


# What is kept.


@pytest.mark.parametrize(
    "sent",
    [
        Out(1, b""),
        Out(1, b"", b""),
        Out(1, b"\x00\xff", b"\x00\xff"),
        Out(
            1,
            b"{}",
            "k",
            {"": b"", "empty": b"", "none": None, "nul": b"a\x00b", "bytes": b"\xff", "caf\u00e9": "\u00e9"},
        ),
    ],
)
def test_a_handler_sees_the_same_event_again(handled_by: Callable[..., Sink], sent: Out) -> None:
    seen: list[Event] = []

    def fails_first(event: Event, tx: Transaction) -> None:
        seen.append(event)
        if len(seen) == 1:
            raise EventError("not yet")

    sink = handled_by(fails_first)
    sink.send(sent)
    sink.run()
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert seen[0] == seen[1]


def test_headers_of_one_name_keep_their_order(handled_by: Callable[..., Sink], make_producer: MakeProducer) -> None:
    seen: list[Event] = []

    def fails_first(event: Event, tx: Transaction) -> None:
        seen.append(event)
        if len(seen) == 1:
            raise EventError("not yet")

    sink = handled_by(fails_first)
    producer = make_producer()
    headers: list[tuple[str, str | bytes | None]] = [
        ("a", b"2"),
        ("event_id", "x"),
        ("a", None),
        ("b", b""),
        ("a", b"1"),
    ]
    producer.produce(sink.topic, b"1", timestamp=1_600_000_000_123, headers=headers)
    assert producer.flush(120) == 0
    sink.run()
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert [name for name, _ in seen[0].headers] == ["a", "event_id", "a", "b", "a"]
    assert seen[0] == seen[1]


# Through a table.


def test_a_table_route_is_retried_once_its_cause_is_mended(sink: Sink) -> None:
    sink.sql("CREATE TABLE times (id text PRIMARY KEY, moment bigint CHECK (id <> 'x'))")
    sink.configure(TIMES)
    sink.send(Out(1, {}, "x"), Out(2, {}, "x"), Out(3, {}, "y"))
    sink.run()
    assert sink.dead_letters() == [(0, "parked"), (1, "waiting")]
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 1
    assert sink.column("SELECT attempts FROM inbox.dead_letters WHERE state = 'parked'") == [2]
    sink.sql("ALTER TABLE times DROP CONSTRAINT times_id_check")
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert sink.column("SELECT id FROM times ORDER BY id") == ["x", "y"]
    assert states(sink) == {"retried": 2}


# Order.


def test_with_order_none_later_events_pass_by_and_each_is_retried_alone(
    handled_by: Callable[..., Sink], fussy: Fussy
) -> None:
    sink = handled_by(fussy, rest='[failures]\norder = "none"')
    fussy.refused = {1, 3}
    sink.send(*(numbered(number, "a") for number in (1, 2, 3, 4)))
    sink.run()
    assert applied(sink) == [2, 4]
    assert sink.dead_letters() == [(0, "parked"), (2, "parked")]
    fussy.refused = {1}
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 1
    assert applied(sink) == [2, 4, 3]
    assert sink.dead_letters() == [(0, "parked"), (2, "retried")]


def test_with_order_halt_the_sink_stops_with_4_and_goes_on_once_the_cause_is_mended(
    handled_by: Callable[..., Sink], fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = handled_by(fussy, rest='[failures]\norder = "halt"')
    fussy.refused = {2}
    sink.send(*(numbered(number, "a") for number in (1, 2, 3)))
    assert sink.command("run", "--until-end") == 4
    assert f"cannot apply {sink.topic}[0]@1: number 2 is refused" in capsys.readouterr().err
    assert (applied(sink), sink.dead_letters()) == ([1], [])
    fussy.refused = set()
    assert sink.command("run", "--until-end") == 0
    assert applied(sink) == [1, 2, 3]


def test_with_order_halt_what_was_parked_before_can_be_retried(parked: Sink, fussy: Fussy) -> None:
    parked.configure(HANDLER_ROUTE, rest='[failures]\norder = "halt"')
    fussy.refused = {2}
    assert retry_of_a(parked) == 1
    fussy.refused = set()
    assert retry_of_a(parked) == 0
    assert applied(parked) == [3, 1, 2, 4]


def test_a_key_stays_parked_across_restarts_and_rebalances(make_sink: MakeSink, offer: Offer, fussy: Fussy) -> None:
    sink = make_sink(partitions=2)
    offer(handler=fussy)
    sink.configure(HANDLER_ROUTE)
    sink.sql(EFFECTS)
    fussy.refused = {1, 2}
    sink.send(on(0, 1), on(1, 2))
    sink.run()
    fussy.refused = set()
    with sink.running():
        sink.send(on(0, 3), on(1, 4))
        sink.eventually_settled(2)
        sink.eventually_settled(2, partition=1)
        with sink.running():
            count = "SELECT count(DISTINCT owner) FROM inbox.partitions"
            eventually(lambda: sink.column(count) == [2], what="both workers to own a partition")
            sink.send(on(0, 5), on(1, 6))
            sink.eventually_settled(3)
            sink.eventually_settled(3, partition=1)
            assert applied(sink) == []
            assert retry_of_a(sink) == 0
            sink.send(on(0, 7), on(1, 8))
            sink.eventually_settled(4)
            sink.eventually_settled(4, partition=1)
    by_partition = [[number for number in applied(sink) if number % 2 == odd] for odd in (1, 0)]
    assert by_partition == [[1, 3, 5, 7], [2, 4, 6, 8]]
    assert states(sink) == {"retried": 6}


def on(partition: int, number: int) -> Out:
    return Out(number, {"n": number}, "a", partition=partition)


def test_a_retry_whose_keys_all_fail_again_stops_early_and_says_so(
    handled_by: Callable[..., Sink], fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = handled_by(fussy)
    fussy.refused = set(range(30))
    sink.send(*(numbered(number, f"key-{number}") for number in range(30)))
    sink.run()
    tries = len(fussy.seen)
    capsys.readouterr()
    assert sink.command("dead-letters", "retry", "--all") == 0
    assert "and 20 more keys with 20 events" in capsys.readouterr().out
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 1
    out, err = capsys.readouterr()
    assert "20 keys: 0 events applied, 0 duplicates; 20 keys failed again" in out
    assert "stopped after 20 keys in a row failed again; 10 keys were not tried" in err
    assert len(fussy.seen) == tries + 20
    assert sink.command("dead-letters", "retry", "--all", "--execute", "--keep-going") == 1
    assert len(fussy.seen) == tries + 50
