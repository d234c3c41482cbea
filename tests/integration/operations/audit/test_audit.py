"""`inbox audit`: each offset that the ledger says is settled, accounted for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from confluent_kafka import Producer

from inbox.store.inbox.audit_queries import AuditQueries
from tests.conftest import MakeTopic
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, Fussy, numbered
from tests.support.kafka_topics import delete_topic
from tests.support.sink.logs import apply, delete_below, effects
from tests.support.sink.running import Out, Sink


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.out))

    @property
    def counts(self) -> dict[str, int]:
        """Of the one partition, those that are not 0."""
        [part] = self.told["partitions"]
        return {name: part[name] for name in COUNTS if part[name]}


COUNTS = (
    *("records", "applied", "duplicate", "filtered", "dead_lettered", "passed_over", "unknown", "missing", "adopted"),
    "claims_without_event",
)
Audit = Callable[..., Result]


@pytest.fixture
def audit(capsys: pytest.CaptureFixture[str]) -> Audit:
    """Runs `inbox audit --json`, or as people see it: `audit(sink, people=True)`."""

    def run(sink: Sink, *arguments: str, people: bool = False) -> Result:
        capsys.readouterr()
        code = sink.command("audit", *arguments, *([] if people else ["--json"]))
        return Result(code, *capsys.readouterr())

    return run


def settled(sink: Sink, *events: Out) -> Sink:
    sink.send(*events)
    sink.run()
    return sink


def numbers(first: int, last: int) -> list[Out]:
    return [Out(number) for number in range(first, last + 1)]


@pytest.fixture
def handled(handled_by: Callable[..., Sink]) -> Sink:
    return handled_by(apply)


def test_a_sink_whose_every_event_took_effect_is_sound(handled: Sink, audit: Audit) -> None:
    result = audit(settled(handled, *numbers(1, 5), Out(2), Out(3)))
    assert (result.code, result.err) == (0, "")
    assert result.told["ok"] is True
    assert result.counts == {"records": 7, "applied": 5, "duplicate": 2}


def test_the_shape_that_scripts_rely_on(handled: Sink, audit: Audit) -> None:
    told = audit(settled(handled, Out(1))).told
    assert list(told) == ["ok", "partitions", "claims_elsewhere", "claims_elsewhere_at"]
    [part] = told["partitions"]
    assert [part[name] for name in ("topic", "partition", "from_offset", "until_offset")] == [handled.topic, 0, 0, 1]
    assert {"records", "applied", "duplicate", "filtered", "dead_lettered", "missing", "missing_offsets"} <= set(part)


def test_a_claim_that_somebody_deleted_is_missing(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 5))
    handled.sql("DELETE FROM inbox.processed WHERE kafka_offset IN (1, 3)")
    result = audit(handled)
    assert (result.code, result.told["ok"]) == (1, False)
    [part] = result.told["partitions"]
    assert part["missing_offsets"] == [1, 3]
    assert part["mend"] == (f"inbox replay --topic {handled.topic}:0 --from-offset 1 --until-offset 4 --execute")
    assert result.counts == {"records": 5, "applied": 3, "missing": 2}


def test_people_read_which_and_how_it_is_mended(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 5))
    handled.sql("DELETE FROM inbox.processed WHERE kafka_offset IN (1, 3)")
    result = audit(handled, people=True)
    assert result.code == 1
    assert f"{handled.topic}[0], route handler: 2 events have no claim: 1, 3" in result.out
    assert f"inbox replay --topic {handled.topic}:0 --from-offset 1 --until-offset 4 --execute" in result.out


def test_a_duplicate_of_an_event_whose_claim_is_gone_is_missing_too(handled: Sink, audit: Audit) -> None:
    settled(handled, Out(1), Out(1), Out(2))
    handled.sql("DELETE FROM inbox.processed WHERE event_id = %s", [UUID(int=1)])
    assert audit(handled).counts == {"records": 3, "applied": 1, "missing": 2}


def test_a_claim_that_no_event_bears_is_found(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 3))
    fake(handled, UUID(int=99), 1)
    result = audit(handled)
    assert result.code == 1
    assert result.counts == {"records": 3, "applied": 3, "claims_without_event": 1}
    assert result.told["partitions"][0]["claims_without_event_at"] == [
        {"route": "handler", "event_id": str(UUID(int=99)), "offset": 1}
    ]


def test_a_claim_that_was_exchanged_for_another_is_found_both_ways(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 3))
    handled.sql("UPDATE inbox.processed SET event_id = %s WHERE kafka_offset = 1", [UUID(int=99)])
    assert audit(handled).counts == {"records": 3, "applied": 2, "missing": 1, "claims_without_event": 1}


def test_two_claims_at_each_others_offsets_are_not_taken_for_their_own(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 2))
    handled.sql("UPDATE inbox.processed SET kafka_offset = 1 - kafka_offset")
    assert audit(handled).counts == {"records": 2, "duplicate": 2, "claims_without_event": 2}


def fake(sink: Sink, event_id: UUID, offset: int) -> None:
    sink.sql(
        "INSERT INTO inbox.processed (event_id, kafka_offset, payload_hash, partition_id, route_id) "
        "SELECT %s, %s, 0, partition_id, route_id FROM inbox.partitions, inbox.routes LIMIT 1",
        [event_id, offset],
    )


def test_dead_letters_are_accounted_for_by_their_state(parked: Sink, fussy: Fussy, audit: Audit) -> None:
    assert audit(parked).counts == {"records": 5, "applied": 1, "dead_lettered": 4}
    fussy.refused = set()
    assert parked.command("dead-letters", "retry", "--key", "a", "--execute") == 0
    assert parked.command("dead-letters", "discard", "--all", "--execute") == 0
    assert audit(parked).counts == {"records": 5, "applied": 4, "dead_lettered": 1}


def test_a_dead_letter_that_somebody_deleted_is_missing(parked: Sink, audit: Audit) -> None:
    parked.sql("DELETE FROM inbox.dead_letters WHERE kafka_offset = 4")
    assert audit(parked).counts == {"records": 5, "applied": 1, "dead_lettered": 3, "missing": 1}


def test_an_event_without_an_id_is_a_dead_letter_or_missing(handled: Sink, audit: Audit) -> None:
    settled(handled, Out(1), Out(None))
    assert audit(handled).counts == {"records": 2, "applied": 1, "dead_lettered": 1}
    handled.sql("DELETE FROM inbox.dead_letters")
    assert audit(handled).told["partitions"][0]["missing_offsets"] == [1]


TWO_ROUTES = """
[[routes]]
name = "some"
topic = "TOPIC"
handler = "handler"
event_type = "header:type"
types = ["good"]

[[routes]]
name = "all"
topic = "TOPIC"
handler = "handler"
"""


@pytest.fixture
def twice(sink: Sink, offer: Callable[..., None]) -> Sink:
    """Two routes, one of which filters."""
    offer(handler=apply)
    sink.configure(TWO_ROUTES)
    sink.sql(EFFECTS)
    return sink


def test_each_route_accounts_for_each_offset(twice: Sink, audit: Audit) -> None:
    settled(twice, Out(1, headers={"type": "good"}), Out(2, headers={"type": "bad"}), Out(3, headers={"type": "good"}))
    [part] = audit(twice).told["partitions"]
    by_route = {each["route"]: (each["applied"], each["filtered"]) for each in part["routes"]}
    assert by_route == {"some": (2, 1), "all": (3, 0)}
    assert (part["records"], part["applied"], part["filtered"]) == (3, 5, 1)


def test_a_claim_of_what_the_route_filters_by_now_is_no_stray(twice: Sink, audit: Audit) -> None:
    settled(twice, Out(1, headers={"type": "good"}))
    twice.configure(TWO_ROUTES.replace('"good"', '"better"'))
    assert audit(twice).counts == {"records": 1, "applied": 1, "filtered": 1}


def test_a_route_owes_nothing_from_before_its_start(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 3))
    second = '[[routes]]\nname = "second"\ntopic = "TOPIC"\nhandler = "handler"\n'
    handled.configure(HANDLER_ROUTE + second)
    settled(handled, *numbers(4, 5))
    result = audit(handled)
    assert result.code == 0
    [part] = result.told["partitions"]
    assert {each["route"]: (each["applied"], each["missing"]) for each in part["routes"]} == {
        "handler": (5, 0),
        "second": (2, 0),
    }


def test_offsets_without_a_record_are_no_gap(
    handled: Sink, audit: Audit, make_producer: Callable[..., Producer]
) -> None:
    producer = make_producer("audited")
    for number, keep in ((1, True), (2, False), (3, True)):
        producer.begin_transaction()
        Out(number).send(producer, handled.topic)
        assert producer.flush(120) == 0
        producer.commit_transaction() if keep else producer.abort_transaction()
    handled.run()
    [part] = audit(handled).told["partitions"]
    assert (part["until_offset"], part["records"], part["applied"]) == (6, 2, 2)
    fake(handled, UUID(int=99), 3)
    assert audit(handled).counts == {"records": 2, "applied": 2, "claims_without_event": 1}


def test_what_the_log_forgot_is_not_asked_for(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 5))
    delete_below(handled, 3)
    result = audit(handled)
    assert (result.code, result.counts) == (0, {"records": 2, "applied": 2})
    assert result.told["partitions"][0]["from_offset"] == 3


def test_what_is_not_settled_yet_is_not_asked_for(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 3))
    handled.send(*numbers(4, 9))
    assert audit(handled).counts == {"records": 3, "applied": 3}


def test_bounds_narrow_it(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 9))
    handled.sql("DELETE FROM inbox.processed WHERE kafka_offset IN (1, 8)")
    assert audit(handled, "--from-offset", "2", "--until-offset", "8").counts == {"records": 6, "applied": 6}


def test_what_a_resume_passed_over_is_told_apart(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 2))
    handled.send(*numbers(3, 6))
    forward = ("resume", "--topic", handled.topic, "--from-offset", "4", "--accept-loss", "--execute")
    assert handled.command(*forward) == 0
    handled.run()
    assert audit(handled).counts == {"records": 6, "applied": 4, "passed_over": 2}


def test_one_topic_of_several_and_some_of_its_partitions(
    make_sink: Callable[..., Sink], offer: Callable[..., None], audit: Audit, make_topic: MakeTopic
) -> None:
    sink, other = make_sink(partitions=3), make_topic()
    offer(handler=apply)
    sink.configure(HANDLER_ROUTE.replace('topic = "TOPIC"', f'topics = ["TOPIC", "{other}"]'))
    sink.sql(EFFECTS)
    settled(sink, *(Out(number, partition=number % 3) for number in range(6)), Out(7, topic=other))
    addresses = [(each["topic"], each["partition"]) for each in audit(sink).told["partitions"]]
    assert sorted(addresses) == sorted([(sink.topic, 0), (sink.topic, 1), (sink.topic, 2), (other, 0)])
    some = audit(sink, "--topic", f"{sink.topic}:0,2").told["partitions"]
    assert [(each["partition"], each["applied"]) for each in some] == [(0, 2), (2, 2)]
    assert audit(sink, "--topic", f"{sink.topic}:7").code == 2
    assert audit(sink, "--topic", "nonsense").code == 2


def test_a_running_sink_is_not_disturbed_and_nothing_it_settles_is_a_false_alarm(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 50))
    with handled.running():
        for first in range(51, 551, 100):
            handled.send(*numbers(first, first + 99))
            assert audit(handled).code == 0
        handled.eventually_settled(550)
    assert audit(handled).counts == {"records": 550, "applied": 550}


def test_a_key_that_is_retried_between_two_looks_is_no_false_alarm(
    parked: Sink, fussy: Fussy, audit: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retried after the claims were read in bulk: they are claims that nobody expects."""

    fussy.refused = set()
    in_bulk = AuditQueries.claims

    def then_retried(self: AuditQueries, *arguments: Any) -> Any:
        found = in_bulk(self, *arguments)
        assert parked.command("dead-letters", "retry", "--all", "--execute") == 0
        return found

    monkeypatch.setattr(AuditQueries, "claims", then_retried)
    code = parked.command("audit")
    assert code == 0
    assert parked.dead_letters() == [(0, "retried"), (1, "retried"), (3, "retried"), (4, "retried")]


def test_a_topic_made_anew_halts_it(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 2))
    handled.sql("UPDATE inbox.partitions SET topic_id = %s", [UUID(int=7)])
    result = audit(handled)
    assert result.code == 4
    assert "was deleted and created again" in result.err


def test_many_chunks_are_each_compared(handled: Sink, audit: Audit) -> None:
    settled(handled, *(numbered(number, None) for number in range(9000)))
    handled.sql("DELETE FROM inbox.processed WHERE kafka_offset IN (17, 4095, 4096, 8999)")
    fake(handled, UUID(int=10**6), 8191)
    result = audit(handled)
    assert result.counts == {"records": 9000, "applied": 8996, "missing": 4, "claims_without_event": 1}
    assert result.told["partitions"][0]["missing_offsets"] == [17, 4095, 4096, 8999]


def test_one_that_was_interrupted_goes_on_where_it_was(
    handled: Sink, audit: Audit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settled(handled, *numbers(1, 4200))
    handled.sql("DELETE FROM inbox.processed WHERE kafka_offset IN (17, 4100)")
    looked, letters = [], AuditQueries.letters

    def interrupted(self: AuditQueries, partition_id: int, routes: Any, start: int, end: int) -> Any:
        looked.append(start)
        if start == 4096:
            raise KeyboardInterrupt
        return letters(self, partition_id, routes, start, end)

    place = tmp_path / "place"
    monkeypatch.setattr("inbox.cli.audit_checkpoint._SECONDS_BETWEEN", 0)
    monkeypatch.setattr(AuditQueries, "letters", interrupted)
    assert audit(handled, "--resume", str(place)).code == 130
    assert place.exists()
    assert audit(handled, "--resume", str(place), "--until-offset", "9").code == 2
    monkeypatch.setattr(AuditQueries, "letters", lambda *given: looked.append(given[3]) or letters(*given))
    looked.clear()
    result = audit(handled, "--resume", str(place))
    assert set(looked) == {4096}
    assert result.counts == {"records": 4200, "applied": 4198, "missing": 2}
    assert result.told["partitions"][0]["missing_offsets"] == [17, 4100]
    assert not place.exists()


def test_a_quick_one_holds_the_ledger_against_its_history(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 5), Out(2))
    quick = audit(handled, "--quick")
    assert quick.code == 0
    assert quick.told["partitions"] == [
        {
            "topic": handled.topic,
            "partition": 0,
            "from_offset": 0,
            "until_offset": 6,
            "faults": [],
            "applied": 5,
            "duplicate": 1,
            "filtered": 0,
            "dead_lettered": 0,
        }
    ]
    handled.sql("UPDATE inbox.partitions SET applied = applied + 1, next_offset = 9")
    broken = audit(handled, "--quick")
    assert broken.code == 1
    assert broken.told["partitions"][0]["faults"] == [
        f"{handled.topic}[0]: the ledger's next offset 9 is past the furthest that it settled, 6",
        f"{handled.topic}[0]: progress counts 5 applied, the ledger 6",
    ]
    assert audit(handled, "--quick", people=True).code == 1
    assert audit(handled, "--quick", "--from-offset", "1").code == 2


def test_the_command_that_is_told_mends_it(handled: Sink, audit: Audit) -> None:
    """Effects and claims were lost together, as with an older copy of the tables."""
    settled(handled, *numbers(1, 6))
    handled.sql("DELETE FROM inbox.processed WHERE kafka_offset IN (1, 3)")
    handled.sql("DELETE FROM effects WHERE event IN (2, 4)")
    [part] = audit(handled).told["partitions"]
    assert handled.command(*part["mend"].split()[1:]) == 0
    handled.run()
    assert sorted(effects(handled)) == [1, 2, 3, 4, 5, 6]
    assert audit(handled).counts == {"records": 6, "applied": 6}
    assert audit(handled, "--quick").code == 0


def test_a_claim_past_all_that_its_partition_settled_is_found(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 3))
    fake(handled, UUID(int=99), 3)
    fake(handled, UUID(int=98), 10**12)
    result = audit(handled)
    assert result.code == 1
    assert result.counts == {"records": 3, "applied": 3, "claims_without_event": 2}
    assert {each["offset"] for each in result.told["partitions"][0]["claims_without_event_at"]} == {3, 10**12}
    assert audit(handled, "--until-offset", "3").code == 0


def test_a_claim_of_a_partition_or_a_route_that_nobody_knows_is_found(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 3))
    fake(handled, UUID(int=99), 1)
    fake(handled, UUID(int=98), 2)
    handled.sql("UPDATE inbox.processed SET partition_id = 4711 WHERE event_id = %s", [UUID(int=99)])
    handled.sql("UPDATE inbox.processed SET route_id = 77 WHERE event_id = %s", [UUID(int=98)])
    result = audit(handled)
    assert (result.code, result.told["ok"], result.told["claims_elsewhere"]) == (1, False, 2)
    nowhere, of_no_route = result.told["claims_elsewhere_at"]
    if nowhere["partition_id"] != 4711:
        nowhere, of_no_route = of_no_route, nowhere
    assert nowhere == {
        "partition_id": 4711,
        "topic": None,
        "partition": None,
        "offset": 1,
        "route": "handler",
        "event_id": str(UUID(int=99)),
    }
    assert (of_no_route["topic"], of_no_route["offset"], of_no_route["route"]) == (handled.topic, 2, None)
    shown = audit(handled, people=True).out
    assert f"partition_id 4711@1, route handler: a claim of {UUID(int=99)}, which no sink made" in shown
    assert f"{handled.topic}[0]@2, of no route: a claim of {UUID(int=98)}, which no sink made" in shown


def test_a_replay_under_way_makes_no_claim_a_stray(handled: Sink, audit: Audit) -> None:
    settled(handled, *numbers(1, 5))
    assert handled.command("replay", "--topic", handled.topic, "--from-offset", "1", "--execute") == 0
    result = audit(handled)
    assert (result.code, result.counts) == (0, {"records": 1, "applied": 1})


def listed(result: Result) -> list[tuple[Any, ...]]:
    """Each offset with its route and ending, and what it duplicates."""
    told = [json.loads(line) for line in result.out.splitlines()[:-1]]
    return [(each["offset"], each["route"], each["ending"], each.get("of")) for each in told]


def test_duplicates_are_listed_with_what_they_duplicate_and_filtered_ones_with_their_route(
    twice: Sink, audit: Audit
) -> None:
    good, bad = {"type": "good"}, {"type": "bad"}
    settled(twice, Out(1, headers=good), Out(2, headers=bad), Out(1, headers=good))
    result = audit(twice, "--list", "duplicate,filtered", people=True)
    first = {"topic": twice.topic, "partition": 0, "offset": 0}
    assert sorted(listed(result), key=str) == sorted(
        [(1, "some", "filtered", None), (2, "some", "duplicate", first), (2, "all", "duplicate", first)], key=str
    )
    assert json.loads(result.out.splitlines()[-1])["ok"] is True
    assert listed(audit(twice, "--list", "missing")) == []


@pytest.mark.parametrize("wrong", ["nonsense", "applied"])
def test_what_cannot_be_listed_is_refused(handled: Sink, audit: Audit, wrong: str) -> None:
    result = audit(handled, "--list", wrong)
    assert result.code == 2
    assert f"there is no {wrong}; one or more of duplicate,filtered," in result.err
    assert audit(handled, "--quick", "--list", "missing").code == 2


def test_a_topic_that_is_gone_is_a_missing_prerequisite(handled: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    handled.run()
    delete_topic(handled.bootstrap_servers, handled.topic)
    assert handled.command("audit") == 3
    assert f"the cluster has no topic {handled.topic}" in capsys.readouterr().err
