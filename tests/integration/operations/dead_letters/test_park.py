"""`inbox dead-letters park`: a person takes one event out of the way of its neighbours."""

import json
from collections.abc import Callable

import pytest

from inbox import Event, Transaction, TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster
from tests.integration.sink.conftest import EFFECTS, Fussy, numbered
from tests.support.sink.running import Sink
from tests.support.waiting import eventually, taking_at_most

TAKES_HOLD_SECONDS = 5.0


class Stuck:
    """A handler that waits for something as long as it is given the number 3, and notes what it applies."""

    def __init__(self) -> None:
        self.stuck = True
        self.tried = 0

    def __call__(self, event: Event, tx: Transaction) -> None:
        number = event.json()["n"]
        if number == 3 and self.stuck:
            self.tried += 1
            raise TryAgainError("its service is gone for good")
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, %s)", (number, str(event.key)))


@pytest.fixture
def stuck() -> Stuck:
    return Stuck()


@pytest.fixture
def blocked(handled_by: Callable[..., Sink], stuck: Stuck) -> Sink:
    """Six events; 3 of key a, at offset 2, holds all up. 5 has the same key."""
    sink = handled_by(stuck)
    sink.send(*(numbered(number, "a" if number in (3, 5) else "b") for number in range(1, 7)))
    return sink


def park(sink: Sink, *more: str, offset: int = 2) -> int:
    place = ("--topic", f"{sink.topic}:0", "--offset", str(offset))
    return sink.command("dead-letters", "park", *place, "--reason", "ticket 4711", *more)


def applied(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


def test_a_blocked_sink_goes_on_within_seconds_without_the_event(blocked: Sink, stuck: Stuck) -> None:
    with blocked.running():
        eventually(lambda: stuck.tried > 1, what="the sink to be held up")
        assert park(blocked, "--execute", "--by", "ada") == 0
        with taking_at_most(TAKES_HOLD_SECONDS):
            blocked.eventually_settled(6)
        assert applied(blocked) == [1, 2, 4, 6]
        assert blocked.dead_letters() == [(2, "parked"), (4, "waiting")]
        assert blocked.sql("SELECT error_class, error, attempts FROM inbox.dead_letters WHERE kafka_offset = 2") == [
            ("ParkedByHandError", "parked by ada: ticket 4711", 0)
        ]
        stuck.stuck = False
        assert blocked.command("dead-letters", "retry", "--key", "a", "--execute") == 0
        blocked.send(numbered(7, "a"))
        blocked.eventually_settled(7)
    assert applied(blocked) == [1, 2, 4, 6, 3, 5, 7]
    assert blocked.endings() == {"applied": 5, "dead_lettered": 2}
    assert blocked.command("audit") == 0


def test_without_execute_nothing_is_changed(blocked: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    assert blocked.command("check") in (0, 1)
    with blocked.running():
        eventually(lambda: blocked.next_offsets(), what="the ledger")
    before = blocked.sql("SELECT next_offset, owner_epoch FROM inbox.partitions")
    capsys.readouterr()
    assert park(blocked) == 0
    out = capsys.readouterr().out
    assert f'would park {blocked.topic}[0]@2, route handler, key "a"' in out
    assert "nothing was changed; add --execute to do it" in out
    assert blocked.dead_letters() == []
    assert blocked.sql("SELECT next_offset, owner_epoch FROM inbox.partitions") == before


def test_it_works_while_no_sink_runs_and_the_event_is_never_tried(
    blocked: Sink, stuck: Stuck, capsys: pytest.CaptureFixture[str]
) -> None:
    with blocked.running():
        eventually(lambda: blocked.next_offsets(), what="the ledger")
    capsys.readouterr()
    assert park(blocked, "--execute", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["action"], told["executed"], told["offset"], told["refusal"]) == ("park", True, 2, None)
    assert [(each["route"], each["key"]) for each in told["letters"]] == [("handler", "a")]
    tried = stuck.tried
    blocked.run()
    assert (applied(blocked), stuck.tried) == ([1, 2, 4, 6], tried)
    assert blocked.dead_letters() == [(2, "parked"), (4, "waiting")]


@pytest.mark.parametrize(
    ("more", "offset", "refusal"),
    [
        ((), 0, "@0 is settled already (the ledger has reached offset 2)"),
        ((), 6, "@6 is not in the log, which ends at offset 6"),
        (("--route", "other"), 3, "no route of the configuration takes"),
    ],
)
def test_what_cannot_be_parked_is_refused_with_the_reason(
    handled_by: Callable[..., Sink],
    stuck: Stuck,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    offset: int,
    refusal: str,
) -> None:
    sink = handled_by(stuck, sink="batch_events = 1")
    sink.send(*(numbered(number, "a") for number in range(1, 7)))
    with sink.running():
        sink.eventually_settled(2)
    capsys.readouterr()
    assert park(sink, "--execute", *more, offset=offset) == 1
    assert refusal in capsys.readouterr().err
    assert sink.dead_letters() == []


def test_what_is_parked_already_is_refused(blocked: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    with blocked.running():
        eventually(lambda: blocked.next_offsets(), what="the ledger")
    assert park(blocked, "--execute") == 0
    capsys.readouterr()
    assert park(blocked, "--execute") == 1
    assert "is a dead letter already" in capsys.readouterr().err
    assert blocked.dead_letters() == [(2, "parked")]


def test_an_event_of_an_offset_without_one_is_refused(
    handled_by: Callable[..., Sink],
    stuck: Stuck,
    make_producer: Callable[..., object],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sink = handled_by(stuck)
    with sink.running():
        eventually(lambda: sink.next_offsets(), what="the ledger")
    producer = make_producer(f"{sink.topic}-transactions")
    producer.begin_transaction()  # type: ignore[attr-defined]
    numbered(1, "a").send(producer, sink.topic)  # type: ignore[arg-type]
    producer.commit_transaction()  # type: ignore[attr-defined]
    cluster, at = Cluster(sink.settings().kafka), TopicPartition(sink.topic, 0)
    # The coordinator writes the control record after it has answered the commit.
    eventually(lambda: cluster.stable_ends([at])[at] == 2, what="the control record")
    capsys.readouterr()
    assert park(sink, "--execute", offset=1) == 1
    assert "the log has no event at" in capsys.readouterr().err


def test_one_route_of_two_may_be_meant(sink: Sink, offer: Callable[..., None], stuck: Stuck, fussy: Fussy) -> None:
    offer(stuck=stuck, fussy=fussy)
    routes = "".join(f'[[routes]]\ntopic = "TOPIC"\nhandler = "{name}"\n' for name in ("stuck", "fussy"))
    sink.configure(routes)
    sink.sql(EFFECTS)
    sink.send(*(numbered(number, None) for number in range(1, 5)))
    with sink.running():
        eventually(lambda: stuck.tried, what="the sink to be held up")
        assert park(sink, "--execute", "--route", "stuck") == 0
        with taking_at_most(TAKES_HOLD_SECONDS):
            sink.eventually_settled(4)
    assert sorted(applied(sink)) == [1, 1, 2, 2, 3, 4, 4]
    assert sink.endings() == {"applied": 7, "dead_lettered": 1}


def test_with_order_halt_the_sink_passes_what_a_person_parked(handled_by: Callable[..., Sink], fussy: Fussy) -> None:
    sink = handled_by(fussy, rest='[failures]\norder = "halt"')
    fussy.refused = {3}
    sink.send(*(numbered(number, "a") for number in range(1, 5)))
    assert sink.command("run", "--until-end") == 4
    assert park(sink, "--execute") == 0
    assert sink.command("run", "--until-end") == 0
    assert applied(sink) == [1, 2, 4]


def test_a_retry_before_the_sink_came_to_it_lets_no_event_overtake_another(blocked: Sink, stuck: Stuck) -> None:
    with blocked.running():
        eventually(lambda: blocked.next_offsets(), what="the ledger")
    assert park(blocked, "--execute", offset=4) == 0
    stuck.stuck = False
    assert blocked.command("dead-letters", "retry", "--all", "--execute") in (0, 1)
    assert applied(blocked) == []
    blocked.run()
    assert applied(blocked) == [1, 2, 3, 4, 6]
    assert blocked.command("dead-letters", "retry", "--all", "--execute") == 0
    assert applied(blocked) == [1, 2, 3, 4, 6, 5]


def test_what_is_discarded_before_the_sink_came_to_it_is_never_applied(blocked: Sink, stuck: Stuck) -> None:
    with blocked.running():
        eventually(lambda: blocked.next_offsets(), what="the ledger")
    assert park(blocked, "--execute") == 0
    assert blocked.command("dead-letters", "discard", "--all", "--execute") == 0
    stuck.stuck = False
    blocked.run()
    assert applied(blocked) == [1, 2, 4, 5, 6]
    assert blocked.dead_letters() == [(2, "discarded")]
