"""More dead letters of a partition within an hour than `[failures] halt_above`: that partition pauses, alone."""

import json
from collections.abc import Callable

import pytest

from inbox.errors import HaltError, TryAgainError
from inbox.failpoints import Failpoint
from inbox.process.health import Health
from inbox.telemetry import REGISTRY
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, Fussy
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually, taking_at_most

TABLE_ROUTE = """
[[routes]]
topic = "TOPIC"
event_id = "header:event_id"
[routes.table]
name = "public.effects"
mode = "append"
columns = { event = "/n" }
"""
LIMIT = "[failures]\nhalt_above = 3"


def on(partition: int, number: int) -> Out:
    return Out(number, {"n": number}, partition=partition)


def applied(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY event")


def paused_partitions() -> float | None:
    return REGISTRY.get_sample_value("inbox_paused", {"reason": "dead_letters"})


@pytest.fixture
def two(make_sink: Callable[..., Sink], offer: Callable[..., None], fussy: Fussy) -> Sink:
    """Two partitions; events 1 to 8 of the first are refused, and nothing else is."""
    sink = make_sink(partitions=2)
    offer(handler=fussy)
    sink.configure(HANDLER_ROUTE, sink="batch_events = 1", rest=LIMIT)
    sink.sql(EFFECTS)
    fussy.refused = set(range(1, 9))
    return sink


def flooded(sink: Sink) -> None:
    """The first partition has eight bad events and a good one."""
    sink.send(*(on(0, number) for number in range(1, 10)))


def eventually_paused(sink: Sink) -> None:
    sink.eventually_settled(4)
    eventually(lambda: paused_partitions() == 1, what="the partition to be paused")


def test_what_was_found_is_kept_and_the_other_partition_goes_on(two: Sink) -> None:
    with capture_logs() as lines, two.running() as worker:
        health = Health()
        health.watch(worker.progress)
        flooded(two)
        eventually_paused(two)
        two.send(on(1, 20), on(1, 21))
        two.eventually_settled(2, partition=1)
        assert health.not_ready() is None
    assert two.dead_letters() == [(offset, "parked") for offset in range(4)]
    assert applied(two) == [20, 21]
    assert two.next_offsets() == {0: 4, 1: 2}
    told = [line for line in lines if line["event"] == "partitions-paused"]
    assert [line["partitions"] for line in told] == [[f"{two.topic}[0]"]]
    assert paused_partitions() == 0


def test_what_a_table_refused_is_kept_and_its_partition_pauses(make_sink: Callable[..., Sink]) -> None:
    sink = make_sink(partitions=2)
    sink.configure(TABLE_ROUTE, sink="batch_events = 1", rest=LIMIT)
    sink.sql("CREATE TABLE effects (event integer CHECK (event > 8))")
    with sink.running():
        flooded(sink)
        eventually_paused(sink)
        sink.send(on(1, 20))
        sink.eventually_settled(1, partition=1)
    assert sink.dead_letters() == [(offset, "parked") for offset in range(4)]
    assert applied(sink) == [20]


def test_the_good_events_of_the_batch_that_goes_over_the_limit_are_applied(two: Sink, fussy: Fussy) -> None:
    two.configure(HANDLER_ROUTE, rest=LIMIT)
    two.send(*(on(0, number) for number in (11, 1, 2, 12, 3, 4, 13)), on(1, 20))
    two.run()
    assert two.dead_letters() == [(offset, "parked") for offset in (1, 2, 4, 5)]
    assert applied(two) == [11, 12, 13, 20]


def test_until_the_end_a_paused_partition_stops_with_4_and_the_others_are_settled(
    two: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    flooded(two)
    two.send(on(1, 20))
    for _ in range(2):
        assert two.command("run", "--until-end") == 4
        assert f"{two.topic}[0] cannot be completed: too many dead letters" in capsys.readouterr().err
        assert applied(two) == [20]
        assert two.next_offsets() == {0: 4, 1: 1}
        assert len(two.dead_letters()) == 4


def test_a_restart_and_a_broken_connection_leave_the_partition_paused(two: Sink) -> None:
    flooded(two)
    with two.running():
        eventually_paused(two)
    with two.running() as worker:
        eventually_paused(two)
        two.end_its_connection()
        eventually(lambda: worker.progress.waiting_for is None, what="the sink to be back")
        two.send(on(1, 20))
        two.eventually_settled(1, partition=1)
        assert paused_partitions() == 1
    assert len(two.dead_letters()) == 4


def test_letters_that_a_lost_commit_brought_pause_the_partition_too(two: Sink, at: Callable[..., None]) -> None:
    def cut_off() -> None:
        raise TryAgainError("the answer to COMMIT is lost")

    at(Failpoint.COMMITTED, cut_off, hit=4)
    flooded(two)
    with two.running():
        eventually_paused(two)
    assert len(two.dead_letters()) == 4


@pytest.mark.parametrize("action", ["retry", "discard"])
def test_the_partition_goes_on_once_its_letters_are_resolved(two: Sink, fussy: Fussy, action: str) -> None:
    flooded(two)
    with two.running():
        eventually_paused(two)
        fussy.refused = set()
        assert two.command("dead-letters", action, "--all", "--execute") == 0
        with taking_at_most(5):
            two.eventually_settled(9)
    assert two.endings()["dead_lettered"] == 4
    assert applied(two) == ([1, 2, 3, 4] if action == "retry" else []) + [5, 6, 7, 8, 9]
    assert paused_partitions() == 0


def test_the_partition_goes_on_once_the_hour_is_over(two: Sink, fussy: Fussy) -> None:
    flooded(two)
    with capture_logs() as lines, two.running():
        eventually_paused(two)
        fussy.refused = set()
        # Other partitions keep the worker busy: it looks all the same.
        two.send(*(on(1, number) for number in range(20, 60)))
        two.sql("UPDATE inbox.dead_letters SET created_at = now() - interval '2 hours'")
        two.eventually_settled(9)
    assert [line["partitions"] for line in lines if line["event"] == "partitions-resumed"] == [[f"{two.topic}[0]"]]


def test_a_replay_goes_over_a_paused_partition_as_soon_as_that_goes_on(two: Sink, fussy: Fussy) -> None:
    flooded(two)
    with two.running():
        eventually_paused(two)
        fussy.refused = set()
        assert two.command("replay", "--topic", f"{two.topic}:0", "--from-earliest", "--execute") in (0, 1)
        two.sql("UPDATE inbox.dead_letters SET created_at = now() - interval '2 hours'")
        eventually(lambda: applied(two) == list(range(1, 10)), what="all events to be applied")


def test_events_that_wait_behind_a_parked_one_do_not_count(two: Sink) -> None:
    two.send(*(Out(number, {"n": number}, key="a", partition=0) for number in range(1, 9)))
    two.run()
    assert [state for _, state in two.dead_letters()] == ["parked"] + ["waiting"] * 7
    assert two.next_offsets()[0] == 8


def test_the_status_shows_a_paused_partition(two: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    flooded(two)
    with pytest.raises(HaltError):
        two.run()
    capsys.readouterr()
    assert two.command("status", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["partitions"]
    assert [row["paused"] for row in rows] == ["dead_letters", None]
    assert two.command("status") == 0
    assert f"paused: {two.topic}[0], with more dead letters within an hour" in capsys.readouterr().out
