"""`inbox resume`: the way out of each halt, carried out and gone on from."""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest

from inbox.dev.local.kafka import LocalKafka
from inbox.errors import HaltError
from tests.integration.sink.conftest import Fussy
from tests.support.sink.logs import delete_below, effects, make_anew, send_singly, truncate
from tests.support.sink.running import Out, Sink


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Resume = Callable[..., Result]


@pytest.fixture
def resume(capsys: pytest.CaptureFixture[str]) -> Resume:
    """Runs `inbox resume` for the whole topic, or some partitions: `resume(sink, "--from-earliest", at=":0")`."""

    def run(sink: Sink, *arguments: str, at: str = "") -> Result:
        capsys.readouterr()
        code = sink.command("resume", "--topic", sink.topic + at, *arguments)
        return Result(code, *capsys.readouterr())

    return run


def ledger(sink: Sink) -> list[tuple[Any, ...]]:
    return sink.sql("SELECT topic, partition, next_offset, owner_epoch, topic_id FROM inbox.partitions ORDER BY 1, 2")


def halts(sink: Sink) -> str:
    with pytest.raises(HaltError) as halt:
        sink.run()
    return str(halt.value)


def numbers(first: int, last: int) -> list[Out]:
    return [Out(number) for number in range(first, last + 1)]


@pytest.fixture
def halted(handled: Sink) -> Sink:
    """Events 1 and 2 are settled; 3 to 7 were deleted before they were; 8 to 10 are there."""
    handled.send(*numbers(1, 2))
    handled.run()
    handled.send(*numbers(3, 10))
    delete_below(handled, 7)
    assert "--from-earliest" in halts(handled)
    return handled


def test_the_plan_says_what_is_lost_and_changes_nothing(halted: Sink, resume: Resume) -> None:
    before = ledger(halted)
    result = resume(halted, "--from-earliest")
    assert result.code == 0
    assert result.out.startswith(
        f"{halted.topic}[0]: 2 -> 7 (log 7 up to 10): 5 offsets (2 up to 6) are lost: the log deleted them before they "
        "were settled\nnothing was changed; --accept-loss --execute does it, and with --plan "
    )
    assert ledger(halted) == before


def test_a_plan_that_is_not_the_one_that_was_shown_is_refused(halted: Sink, resume: Resume) -> None:
    before = ledger(halted)
    plan = json.loads(resume(halted, "--from-earliest", "--json").out)["plan"]
    other = resume(halted, "--from-offset", "8", "--accept-loss", "--execute", "--plan", plan)
    assert other.code == 1
    assert "2 -> 8" in other.out
    assert "the plan is not the one that was shown" in other.err
    assert ledger(halted) == before
    assert resume(halted, "--from-earliest", "--accept-loss", "--execute", "--plan", plan).code == 0


def test_a_loss_has_to_be_accepted(halted: Sink, resume: Resume) -> None:
    before = ledger(halted)
    result = resume(halted, "--from-earliest", "--execute")
    assert result.code == 2
    assert "are lost" in result.out
    assert "give --accept-loss as well" in result.err
    assert ledger(halted) == before


def test_after_it_the_sink_goes_on_behind_what_is_lost_and_who_decided_is_kept(halted: Sink, resume: Resume) -> None:
    assert resume(halted, "--from-earliest", "--accept-loss", "--execute", "--by", "ada").code == 0
    halted.run()
    assert effects(halted) == [1, 2, 8, 9, 10]
    [noted] = halted.sql("SELECT from_offset, to_offset, consequence, requested_by FROM inbox.resumptions")
    assert noted[:2] == (2, 7)
    assert noted[2].startswith("5 offsets (2 up to 6) are lost")
    assert noted[3] == "ada"


def test_scripts_get_one_json_object(halted: Sink, resume: Resume) -> None:
    told = json.loads(resume(halted, "--from-earliest", "--json").out)
    assert (told["topic"], told["executed"], told["accept_loss_needed"]) == (halted.topic, False, True)
    [step] = told["partitions"]
    assert (step["partition"], step["from_offset"], step["to_offset"]) == (0, 2, 7)
    assert (step["lost"], step["repeated"], step["log_start"], step["log_end"]) == (5, 0, 7, 10)


def test_going_back_needs_consent_and_applies_nothing_twice(handled: Sink, resume: Resume) -> None:
    handled.send(*numbers(1, 5))
    handled.run()
    assert resume(handled, "--from-offset", "1", "--accept-loss", "--execute").code == 0
    handled.run()
    assert effects(handled) == [1, 2, 3, 4, 5]
    assert handled.endings() == {"applied": 5}


def test_a_sink_that_runs_goes_where_a_resume_sends_it(handled: Sink, resume: Resume) -> None:
    handled.send(*numbers(1, 5))
    with handled.running():
        handled.eventually_settled(5)
        assert resume(handled, "--from-offset", "0", "--accept-loss", "--execute").code == 0
        handled.send(Out(6))
        handled.eventually_settled(6)
    assert effects(handled) == [1, 2, 3, 4, 5, 6]
    assert handled.endings() == {"applied": 6}


def test_a_topic_made_anew_is_taken_from_its_start_and_the_one_before_is_kept(
    parked: Sink, fussy: Fussy, resume: Resume, capsys: pytest.CaptureFixture[str]
) -> None:
    [before] = parked.column("SELECT partition_id FROM inbox.partitions")
    make_anew(parked)
    fussy.refused = set()
    parked.send(Out(11, {"n": 11}, "a"), Out(3, {"n": 3}, "b"))
    assert "--new-topic" in halts(parked)
    result = resume(parked, "--new-topic", "--accept-loss", "--execute")
    assert result.code == 0
    assert "4 dead letters of the log before stay open" in result.out

    parked.run()

    # 3 was applied from the topic before, and is known by its id; 11 does not wait behind key a of the other log.
    assert parked.column("SELECT event FROM effects ORDER BY position") == [3, 11]
    assert [row[:3] for row in ledger(parked)] == [(parked.topic, 0, 2), (f"{parked.topic}#{before}", 0, 5)]
    capsys.readouterr()
    assert parked.command("status", "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert [(each["topic"], each["next_offset"]) for each in status["partitions"]] == [(parked.topic, 2)]
    assert status["totals"] == {"applied": 2, "duplicate": 1, "filtered": 0, "dead_lettered": 4}


def test_dead_letters_of_a_topic_that_was_made_anew_are_still_found_and_retried(
    parked: Sink, fussy: Fussy, resume: Resume, capsys: pytest.CaptureFixture[str]
) -> None:
    make_anew(parked)
    assert resume(parked, "--new-topic", "--accept-loss", "--execute").code == 0
    fussy.refused = set()
    capsys.readouterr()
    assert parked.command("dead-letters", "retry", "--topic", parked.topic, "--execute") == 0
    assert sorted(parked.column("SELECT event FROM effects")) == [1, 2, 3, 4, 5]
    assert {state for _, state in parked.dead_letters()} == {"retried"}


def test_fewer_partitions_than_before_end_those_that_are_gone(make_sink: Callable[..., Sink], resume: Resume) -> None:
    sink = make_sink(partitions=2)
    sink.configure(
        f"""
        [[routes]]
        topic = "{sink.topic}"
        [routes.table]
        name = "seen"
        mode = "append"
        columns = {{ n = "/n" }}
        """
    )
    sink.sql("CREATE TABLE seen (n integer)")
    sink.send(Out(1, {"n": 1}), Out(2, {"n": 2}, partition=1))
    sink.run()
    make_anew(sink)
    sink.send(Out(3, {"n": 3}))
    assert "the topic was recreated" in halts(sink) or "deleted and created again" in halts(sink)
    result = resume(sink, "--new-topic", "--accept-loss", "--execute")
    assert f"{sink.topic}[1]: 1 -> ends" in result.out
    sink.run()
    assert sorted(sink.column("SELECT n FROM seen")) == [1, 2, 3]


def test_another_cluster_is_gone_on_with_once_every_topic_was_resumed(handled: Sink, resume: Resume) -> None:
    """The ledger is told to be of another one, which is what a cluster that was replaced looks like."""
    handled.send(*numbers(1, 2))
    handled.run()
    handled.sql("UPDATE inbox.partitions SET cluster_id = 'gone'")
    handled.sql("UPDATE inbox.sink SET cluster_id = 'gone'")
    assert "is of Kafka cluster gone" in halts(handled)
    assert resume(handled, "--new-topic", "--accept-loss", "--execute").code == 0
    handled.send(Out(3))
    handled.run()
    assert effects(handled) == [1, 2, 3]
    assert handled.endings() == {"applied": 3, "duplicate": 2}


def resumed_with(
    kafka: LocalKafka, sink: Sink, resume: Resume, offset: int, replaced: Iterable[Out], **options: str
) -> None:
    """Replace the log from an offset on by these events; the sink halts, is resumed there, and runs."""
    truncate(kafka, sink.topic, offset)
    send_singly(sink, replaced)
    assert f"--from-offset {offset}" in halts(sink)
    assert resume(sink, "--from-offset", str(offset), "--accept-loss", "--execute", **options).code == 0
    sink.run()


def test_in_a_truncated_log_what_took_the_place_of_other_events_is_applied(
    kafka: LocalKafka, cuttable: Sink, resume: Resume
) -> None:
    send_singly(cuttable, map(Out, range(1, 11)))
    cuttable.run()
    resumed_with(kafka, cuttable, resume, 6, map(Out, range(101, 111)), at=":0")
    assert effects(cuttable) == [*range(1, 11), *range(101, 111)]


def test_in_a_truncated_log_events_known_by_their_coordinates_are_applied_too(
    kafka: LocalKafka, cuttable: Sink, resume: Resume
) -> None:
    """The same coordinates, and so the same ids, as events that are no longer in the log."""
    cuttable.configure(
        f"""
        [[routes]]
        topic = "{cuttable.topic}"
        event_id = "coordinates"
        [routes.table]
        name = "seen"
        mode = "append"
        columns = {{ n = "/n" }}
        """
    )
    cuttable.sql("CREATE TABLE seen (position bigint GENERATED ALWAYS AS IDENTITY, n integer)")
    send_singly(cuttable, (Out(None, {"n": number}) for number in range(1, 11)))
    cuttable.run()
    replaced = (Out(None, {"n": number}) for number in range(101, 111))
    resumed_with(kafka, cuttable, resume, 6, replaced)
    assert cuttable.column("SELECT n FROM seen ORDER BY position") == [*range(1, 11), *range(101, 111)]


def test_in_a_truncated_log_a_tombstone_known_by_its_coordinates_is_applied_too(
    kafka: LocalKafka, cuttable: Sink, resume: Resume
) -> None:
    """A tombstone has no value to take an id from, so the claim of one that is no longer in the log has its id."""
    cuttable.configure(
        f"""
        [[routes]]
        topic = "{cuttable.topic}"
        event_id = "value:/n"
        [routes.table]
        name = "seen"
        mode = "upsert"
        key = ["n"]
        tombstones = "delete"
        columns = {{ n = "/n" }}
        """
    )
    cuttable.sql("CREATE TABLE seen (n integer PRIMARY KEY)")
    send_singly(cuttable, [*(Out(None, {"n": number}) for number in range(7)), Out(None, None, key="1")])
    cuttable.run()
    resumed_with(kafka, cuttable, resume, 7, [Out(None, None, key="2"), Out(None, {"n": 100})])
    assert cuttable.column("SELECT n FROM seen ORDER BY n") == [0, 3, 4, 5, 6, 100]
