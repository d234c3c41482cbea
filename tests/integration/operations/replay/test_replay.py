"""`inbox replay`, carried out by a sink that runs or by the next one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from inbox.events import Event
from inbox.failpoints import Failpoint
from inbox.handlers import Transaction
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, Fussy, apply, numbered
from tests.support.kafka_tools import consumer_groups
from tests.support.sink.logs import delete_below, effects, make_anew
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually, taking_at_most


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Replay = Callable[..., Result]
At = Callable[..., None]


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    """Runs `inbox replay` for the whole topic: `replay(sink, "--from-earliest")`, or for what `at` names (":0")."""

    def run(sink: Sink, *arguments: str, at: str = "") -> Result:
        capsys.readouterr()
        where = [] if "--from-file" in arguments or arguments[0] in ("list", "cancel") else ["--topic", sink.topic + at]
        code = sink.command("replay", *where, *arguments)
        return Result(code, *capsys.readouterr())

    return run


def ledger(sink: Sink) -> list[tuple[Any, ...]]:
    return sink.sql("SELECT partition, next_offset, owner_epoch FROM inbox.partitions ORDER BY 1")


def ranges(sink: Sink) -> list[tuple[Any, ...]]:
    """Partition, from, until, next, where the ledger stood, state, applied, duplicate and dead-lettered."""
    return sink.sql(
        "SELECT partition, r.from_offset, r.until_offset, r.next_offset, ledger_offset, state, r.applied, r.duplicate, "
        "r.dead_lettered FROM inbox.replay_ranges AS r JOIN inbox.partitions USING (partition_id) "
        "ORDER BY replay_id, partition"
    )


def settled(sink: Sink) -> bool:
    return {state for (state,) in sink.sql("SELECT state FROM inbox.replays")} == {"settled"}


def numbers(first: int, last: int) -> list[Out]:
    return [Out(number) for number in range(first, last + 1)]


@pytest.fixture
def ten(handled: Sink) -> Sink:
    """Events 1 to 10, at offsets 0 to 9, are applied."""
    handled.send(*numbers(1, 10))
    handled.run()
    assert effects(handled) == [*range(1, 11)]
    return handled


def test_the_plan_says_what_is_in_the_range_and_changes_nothing(ten: Sink, replay: Replay) -> None:
    before = ledger(ten)
    ten.sql("DELETE FROM inbox.processed WHERE kafka_offset = 4")
    told = replay(ten, "--from-offset", "3", "--until-offset", "7", "--json")
    assert told.code == 0
    [step] = json.loads(told.out)["partitions"]
    assert (step["from_offset"], step["until_offset"], step["ledger_offset"]) == (3, 7, 10)
    assert (step["records"], step["applied"], step["lacking"], step["duplicate"]) == (4, 3, 1, 0)
    assert step["from_time"].startswith("20")
    assert ledger(ten) == before


def test_a_plan_that_is_not_the_one_that_was_shown_is_refused(ten: Sink, replay: Replay) -> None:
    before = ledger(ten)
    plan = json.loads(replay(ten, "--shift-by", "-3", "--json").out)["plan"]
    ten.send(*numbers(11, 12))
    ten.run()
    after = ledger(ten)
    stale = replay(ten, "--shift-by", "-3", "--execute", "--plan", plan)
    assert stale.code == 1
    assert "9 up to 12" in stale.out
    assert "the plan is not the one that was shown" in stale.err
    assert (ledger(ten), ranges(ten)) == (after, [])
    assert before != after
    plan = json.loads(replay(ten, "--shift-by", "-3", "--json").out)["plan"]
    assert replay(ten, "--shift-by", "-3", "--execute", "--plan", plan, "--rate", "5/s").code == 0
    assert "5/s" in replay(ten, "list").out


def test_only_what_lacks_its_claim_runs(ten: Sink, replay: Replay) -> None:
    ten.sql("DELETE FROM inbox.processed WHERE kafka_offset = 4")
    assert replay(ten, "--from-offset", "3", "--until-offset", "7", "--execute", "--by", "ada").code == 0
    worker = ten.worker(until_end=True)
    worker.run()
    assert effects(ten) == [*range(1, 11), 5]
    assert worker.progress.records == 4, "what lies behind the range was gone over"
    assert ranges(ten) == [(0, 3, 7, 7, 10, "settled", 1, 3, 0)]
    assert ten.sql("SELECT state, requested_by, ended_at IS NOT NULL FROM inbox.replays") == [("settled", "ada", True)]
    assert ten.next_offsets() == {0: 10}


def test_what_is_settled_again_is_not_counted_again(ten: Sink, replay: Replay) -> None:
    assert replay(ten, "--from-earliest", "--execute").code == 0
    ten.run()
    assert ten.endings() == {"applied": 10}


def test_force_lets_each_event_of_the_range_take_effect_once_more(ten: Sink, replay: Replay) -> None:
    assert replay(ten, "--from-offset", "3", "--until-offset", "7", "--mode", "force", "--execute").code == 0
    ten.run()
    assert effects(ten) == [*range(1, 11), 4, 5, 6, 7]
    assert replay(ten, "--from-offset", "3", "--until-offset", "5", "--mode", "force", "--execute").code == 0
    ten.run()
    assert effects(ten) == [*range(1, 11), 4, 5, 6, 7, 4, 5]
    assert sorted(ten.sql("SELECT replay_id, count(*) FROM inbox.processed GROUP BY 1"), key=str) == [
        (1, 2), (2, 2), (None, 6)
    ]  # fmt: skip


def test_a_sink_that_runs_goes_back_and_forward_by_itself(ten: Sink, replay: Replay) -> None:
    with ten.running():
        ten.send(Out(11))
        ten.eventually_settled(11)
        assert replay(ten, "--from-offset", "2", "--until-offset", "5", "--mode", "force", "--execute").code == 0
        with taking_at_most(5):
            eventually(lambda: settled(ten), what="the replay on an idle sink")
        ten.send(Out(12))
        ten.eventually_settled(12)
    assert effects(ten) == [*range(1, 12), 3, 4, 5, 12]


def test_a_batch_at_hand_when_the_ledger_goes_back_is_not_settled(ten: Sink, at: At, replay: Replay) -> None:
    at(Failpoint.HANDLED, lambda: replay(ten, "--from-offset", "8", "--mode", "force", "--execute"))
    ten.send(*numbers(11, 12))
    ten.run()
    assert effects(ten) == [*range(1, 11), 9, 10, 11, 12]


def test_a_replay_that_a_worker_died_in_is_whole_all_the_same(ten: Sink, at: At, replay: Replay) -> None:
    """The session ends inside the transaction of the first batch, of the last, and while COMMIT is under way."""
    ten.configure('[[routes]]\ntopic = "TOPIC"\nhandler = "handler"\n', sink="batch_events = 2")
    assert replay(ten, "--from-offset", "2", "--until-offset", "8", "--mode", "force", "--execute").code == 0
    for hit in (1, 3):
        at(Failpoint.COMMIT_SENT, ten.end_its_connection, hit=hit)
    at(Failpoint.COMMITTED, ten.end_its_connection, hit=2)
    ten.run()
    assert sorted(effects(ten)) == sorted([*range(1, 11), *range(3, 9)])
    assert ranges(ten) == [(0, 2, 8, 8, 10, "settled", 6, 0, 0)]


def test_a_producers_duplicate_in_the_range_is_one_event(handled: Sink, replay: Replay) -> None:
    handled.send(Out(1), Out(2), Out(1), Out(3))
    handled.run()
    assert replay(handled, "--from-offset", "1", "--mode", "force", "--execute").code == 0
    handled.run()
    assert effects(handled) == [1, 2, 3, 2, 3]


def test_one_route_alone(sink: Sink, offer: Callable[..., None], replay: Replay) -> None:
    def first(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects VALUES ('first', %s)", (event.id.int,))

    def second(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects VALUES ('second', %s)", (event.id.int,))

    offer(first=first, second=second)
    sink.sql("CREATE TABLE effects (route text, event int)")
    sink.configure("".join(f'[[routes]]\ntopic = "TOPIC"\nhandler = "{name}"\n' for name in ("first", "second")))
    sink.send(*numbers(1, 3))
    sink.run()
    sink.sql("DELETE FROM inbox.processed WHERE kafka_offset = 1")
    assert replay(sink, "--from-earliest", "--route", "second", "--execute").code == 0
    sink.run()
    assert sink.sql("SELECT route, event, count(*) FROM effects GROUP BY 1, 2 HAVING count(*) > 1") == [
        ("second", 2, 2)
    ]
    assert replay(sink, "--from-earliest", "--route", "first", "--mode", "force", "--execute").code == 0
    sink.run()
    counts = sink.sql("SELECT route, event, count(*) FROM effects GROUP BY 1, 2 ORDER BY 1, 2")
    assert [count for _, _, count in counts] == [2, 2, 2, 1, 2, 1]


def test_partitions_of_a_file_as_kafka_consumer_groups_writes_it(
    make_sink: Callable[..., Sink], offer: Callable[..., None], replay: Replay, tmp_path: Path
) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects VALUES (%s)", (event.id.int,))

    sink = make_sink(partitions=3)
    offer(handler=handler)
    sink.sql("CREATE TABLE effects (event int)")
    sink.configure('[[routes]]\ntopic = "TOPIC"\nhandler = "handler"\n')
    sink.send(*(Out(number, partition=number % 3) for number in range(9)))
    sink.run()
    exported, file = tmp_path / "plan.csv", tmp_path / "offsets.csv"
    assert replay(sink, "--shift-by", "-1", "--export", str(exported)).code == 0
    assert exported.read_text() == "".join(f"{sink.topic},{number},2\n" for number in range(3))
    file.write_text(f'"{sink.topic}",0,1\n{sink.topic},2,2\n')
    assert replay(sink, "--from-file", str(file), "--mode", "force", "--execute").code == 0
    sink.run()
    assert sink.column("SELECT event FROM effects GROUP BY 1 HAVING count(*) > 1 ORDER BY 1") == [3, 6, 8]
    assert [row[:3] for row in ranges(sink)] == [(0, 1, 3), (2, 2, 3)]


def test_kafka_consumer_groups_and_replay_take_each_others_files(
    make_sink: Callable[..., Sink], offer: Callable[..., None], replay: Replay, tmp_path: Path
) -> None:
    sink = make_sink(partitions=2)
    offer(handler=lambda event, tx: None)
    sink.configure('[[routes]]\ntopic = "TOPIC"\nhandler = "handler"\n')
    sink.send(*(Out(number, partition=number % 2) for number in range(8)))
    sink.run()
    reset = ("--group", sink.name, "--reset-offsets", "--export", "--dry-run")
    theirs, ours = tmp_path / "theirs.csv", tmp_path / "ours.csv"
    theirs.write_text(consumer_groups(sink.bootstrap_servers, *reset, "--topic", sink.topic, "--to-offset", "1"))
    assert replay(sink, "--from-file", str(theirs), "--export", str(ours), "--execute").code == 0
    assert [row[:3] for row in ranges(sink)] == [(0, 1, 4), (1, 1, 4)]
    again = consumer_groups(sink.bootstrap_servers, *reset, "--from-file", str(ours))
    assert sorted(again.split()) == sorted(ours.read_text().split()) == sorted(theirs.read_text().split())


def test_a_time_says_where_to_begin_and_to_end(ten: Sink, replay: Replay) -> None:
    [step] = json.loads(replay(ten, "--from-time", "1h", "--json").out)["partitions"]
    assert (step["from_offset"], step["until_offset"]) == (0, 10)
    nothing = replay(ten, "--from-time", "0s")
    assert nothing.code == 2
    assert "there is nothing from 10 up to 10" in nothing.err
    assert "there is nothing" in replay(ten, "--from-earliest", "--until-time", "1h").err


def test_where_parked_events_are_nothing_is_parked_twice(parked: Sink, replay: Replay) -> None:
    assert replay(parked, "--from-earliest", "--mode", "force", "--execute").code == 0
    parked.run()
    assert parked.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting"), (4, "parked")]
    assert parked.column("SELECT event FROM effects") == [3, 3]
    assert ranges(parked)[0][5:] == ("settled", 1, 0, 4)


def test_a_parked_event_that_a_replay_applies_is_a_dead_letter_no_more(
    parked: Sink, fussy: Fussy, replay: Replay
) -> None:
    fussy.refused = set()
    assert replay(parked, "--from-earliest", "--execute").code == 0
    parked.run()
    assert parked.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting"), (4, "retried")]
    assert parked.column("SELECT resolved_by FROM inbox.dead_letters WHERE kafka_offset = 4") == ["replay 1"]


def test_a_forced_event_that_fails_is_parked_under_the_replay_and_retried_once(
    handled_by: Callable[..., Sink], fussy: Fussy, replay: Replay
) -> None:
    sink = handled_by(fussy)
    sink.send(*(numbered(number, "a") for number in (1, 2)))
    sink.run()
    fussy.refused = {1}
    assert replay(sink, "--from-earliest", "--mode", "force", "--execute").code == 0
    sink.run()
    assert sink.sql("SELECT kafka_offset, state, replay_id FROM inbox.dead_letters ORDER BY 1") == [
        (0, "parked", 1), (1, "waiting", 1)
    ]  # fmt: skip
    fussy.refused = set()
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert sink.column("SELECT event FROM effects ORDER BY position") == [1, 2, 1, 2]


def test_a_forced_event_that_waits_behind_one_of_an_earlier_batch_takes_effect_once_more(
    handled_by: Callable[..., Sink], fussy: Fussy, replay: Replay
) -> None:
    sink = handled_by(fussy, sink="batch_events = 1")
    sink.send(*(numbered(number, "a") for number in (1, 2)))
    sink.run()
    fussy.refused = {1}
    assert replay(sink, "--from-earliest", "--mode", "force", "--execute").code == 0
    sink.run()
    assert sink.dead_letters() == [(0, "parked"), (1, "waiting")]
    fussy.refused = set()
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert sink.column("SELECT event FROM effects ORDER BY position") == [1, 2, 1, 2]


def test_an_event_that_was_given_up_is_not_forced(parked: Sink, fussy: Fussy, replay: Replay) -> None:
    fussy.refused = set()
    assert parked.command("dead-letters", "discard", "--all", "--execute") == 0
    assert replay(parked, "--from-earliest", "--mode", "force", "--execute").code == 0
    parked.run()
    assert parked.column("SELECT event FROM effects") == [3, 3]


def test_a_second_replay_of_a_partition_waits_for_the_first_or_ends_it(ten: Sink, replay: Replay) -> None:
    assert replay(ten, "--from-offset", "2", "--mode", "force", "--execute").code == 0
    refused = replay(ten, "--from-offset", "0", "--execute")
    assert refused.code == 2
    assert "replay 1 covers 2 up to 10 and is at 2; wait for it" in refused.err
    before = ledger(ten)
    assert "nothing was changed" in replay(ten, "cancel", "1").out
    assert ledger(ten) == before
    assert replay(ten, "cancel", "1", "--execute").code == 0
    ten.send(Out(11))
    ten.run()
    assert effects(ten) == [*range(1, 12)]
    assert ranges(ten) == [(0, 2, 10, 2, 10, "cancelled", 0, 0, 0)]
    assert ten.column("SELECT state FROM inbox.replays") == ["cancelled"]


def test_a_resume_ends_a_replay(ten: Sink, replay: Replay) -> None:
    assert replay(ten, "--from-offset", "2", "--mode", "force", "--execute").code == 0
    resume = ("resume", "--topic", ten.topic, "--from-offset", "5", "--accept-loss", "--execute")
    assert ten.command(*resume) == 0
    ten.run()
    assert effects(ten) == [*range(1, 11)]
    assert ranges(ten)[0][5] == "superseded"


def test_waiting_for_it_ends_when_it_is_settled(ten: Sink, replay: Replay) -> None:
    with ten.running():
        assert replay(ten, "--from-offset", "2", "--mode", "force", "--execute", "--wait").code == 0
        assert settled(ten)


def test_the_history(ten: Sink, replay: Replay) -> None:
    assert replay(ten, "list").out == "nothing was replayed yet\n"
    replay(ten, "--from-offset", "2", "--until-offset", "4", "--mode", "force", "--execute", "--by", "ada")
    ten.run()
    [told] = json.loads(replay(ten, "list", "--json").out)["replays"]
    assert (told["replay_id"], told["mode"], told["state"], told["requested_by"]) == (1, "force", "settled", "ada")
    assert [(each["from_offset"], each["until_offset"], each["applied"]) for each in told["ranges"]] == [(2, 4, 2)]
    assert "2 applied" in replay(ten, "list").out


def test_what_lies_below_the_log_start_or_belongs_to_another_topic_is_refused(ten: Sink, replay: Replay) -> None:
    delete_below(ten, 4)
    below = replay(ten, "--from-offset", "2", "--execute")
    assert (below.code, "offset 2 is below the log start 4" in below.err) == (2, True)
    make_anew(ten)
    assert "deleted and created again" in replay(ten, "--from-earliest", "--execute").err
    assert ranges(ten) == []


@pytest.mark.parametrize("mode", ["skip-applied", "force"])
def test_compacted_or_control_records_at_the_edge_are_passed_over(
    handled: Sink, replay: Replay, make_producer: Callable[..., Any], mode: str
) -> None:
    """Offset 1 and 3 hold the markers of two transactions; the range ends behind one and begins at the other."""
    producer = make_producer("replayed")
    for number in (1, 2):
        producer.begin_transaction()
        Out(number).send(producer, handled.topic)
        producer.commit_transaction(10)
    handled.run()
    assert replay(handled, "--from-offset", "1", "--until-offset", "4", "--mode", mode, "--execute").code == 0
    handled.run()
    assert ranges(handled)[0][3:6] == (4, 4, "settled")
    assert effects(handled) == ([1, 2] if mode == "skip-applied" else [1, 2, 2])


class TestShadow:
    """Tried and rolled back."""

    def test_what_fails_now_and_what_passes_now_is_told_and_nothing_is_changed(
        self, parked: Sink, fussy: Fussy, replay: Replay
    ) -> None:
        before = parked.sql("SELECT next_offset, owner_epoch FROM inbox.partitions"), parked.dead_letters()
        fussy.refused = {3}
        told = replay(parked, "--from-earliest", "--mode", "shadow", "--execute", "--json")
        assert told.code == 1
        [route] = json.loads(told.out)["routes"]
        assert (route["events"], route["applied"], route["failed"]) == (5, 4, 1)
        assert (route["fails_now"], route["passes_now"]) == (1, 4)
        assert route["examples"] == [{"event": f"{parked.topic}[0]@2", "error": "number 3 is refused"}]
        assert parked.column("SELECT event FROM effects") == [3]
        assert (parked.sql("SELECT next_offset, owner_epoch FROM inbox.partitions"), parked.dead_letters()) == before
        assert parked.sql("SELECT * FROM inbox.replays") == []

    def test_an_event_without_an_id_fails_and_ends_nothing(self, handled: Sink, replay: Replay) -> None:
        handled.send(Out(1), Out(None), Out(3))
        handled.run()
        told = replay(handled, "--from-earliest", "--mode", "shadow", "--execute")
        assert told.code == 0
        assert "3 events: 2 would apply, 1 fail, 0 duplicates, 0 filtered" in told.out

    def test_a_duplicate_is_not_tried(self, handled: Sink, replay: Replay) -> None:
        handled.send(Out(1), Out(2), Out(1))
        handled.run()
        told = replay(handled, "--from-offset", "1", "--mode", "shadow", "--execute")
        assert told.code == 0
        assert "2 events: 1 would apply, 0 fail, 1 duplicates, 0 filtered" in told.out


@pytest.mark.parametrize("wrong", ["0/s", "2000", "fast", "99999999/s"])
def test_a_rate_that_is_none_is_refused(handled: Sink, replay: Replay, wrong: str) -> None:
    refused = replay(handled, "--from-earliest", "--rate", wrong)
    assert refused.code == 2
    assert "as in 2000/s" in refused.err


def test_a_replay_with_a_rate_takes_its_time_and_other_partitions_do_not_wait(
    make_sink: Callable[..., Sink], offer: Callable[..., None]
) -> None:
    sink = make_sink(partitions=2)
    offer(handler=apply)
    sink.configure(HANDLER_ROUTE)
    sink.sql(EFFECTS)
    with sink.running():
        sink.send(*(Out(number, {"n": number}) for number in range(1, 301)))
        sink.eventually_settled(300)
        arguments = ["--from-earliest", "--rate", "60/s", "--execute"]
        assert sink.command("replay", "--topic", f"{sink.topic}:0", *arguments) == 0
        eventually(lambda: sink.next_offsets()[0] < 300, what="the replay to begin")
        sink.send(*(Out(number, {"n": number}, partition=1) for number in range(301, 401)))
        sink.eventually_settled(100, partition=1)
        assert not settled(sink)
        eventually(lambda: settled(sink), what="the replay to end")
    [(seconds,)] = sink.sql("SELECT extract(epoch FROM ended_at - created_at) FROM inbox.replays")
    assert seconds >= 0.8 * 300 / 60
    assert ranges(sink)[0][:4] == (0, 0, 300, 300)
    assert sink.endings() == {"applied": 400}
