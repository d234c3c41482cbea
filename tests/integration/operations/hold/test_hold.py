"""`inbox hold` and `inbox release`, beside a sink that runs."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from inbox.failpoints import Failpoint
from inbox.process.health import Health
from inbox.telemetry import REGISTRY
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, apply
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually, taking_at_most

TAKEN_WITHIN_SECONDS = 5.0


class Result(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


Inbox = Callable[..., Result]


@pytest.fixture
def inbox(handled: Sink, capsys: pytest.CaptureFixture[str]) -> Inbox:
    """Runs `inbox` on the sink `handled`."""

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        return Result(handled.command(*arguments), *capsys.readouterr())

    return run


def held(topic: str) -> float:
    return REGISTRY.get_sample_value("inbox_held", {"topic": topic}) or 0.0


def eventually_held(topic: str, partitions: int = 1) -> None:
    with taking_at_most(TAKEN_WITHIN_SECONDS):
        eventually(lambda: held(topic) == partitions, what=f"{partitions} held")


def numbered(first: int, last: int, partition: int = 0) -> list[Out]:
    return [Out(number, {"n": number}, partition=partition) for number in range(first, last + 1)]


def hold(sink: Sink, *more: str, where: str = "") -> None:
    assert sink.command("hold", "--topic", sink.topic + where, "--reason", "a test", *more, "--execute") == 0


def release(sink: Sink, where: str = "") -> None:
    assert sink.command("release", "--topic", sink.topic + where, "--execute") == 0


@contextmanager
def quiet() -> Iterator[None]:
    """Neither an outage nor a rebalance after the first assignment is logged meanwhile."""
    with capture_logs() as lines:
        yield
    told = [line["event"] for line in lines]
    assert told.count("assigned") <= 1
    assert not {"outage", "fenced", "assignment-lost"} & set(told)
    assert "revoked" not in told[: told.index("partitions-released")] if "partitions-released" in told else True


def test_nothing_is_taken_until_the_release_and_then_everything_once(handled: Sink) -> None:
    with quiet(), handled.running() as worker:
        health = Health()
        health.watch(worker.progress)
        handled.send(*numbered(1, 10))
        handled.eventually_settled(10)
        hold(handled)
        eventually_held(handled.topic)
        handled.send(*numbered(11, 20))
        eventually(lambda: worker.progress.lag == 10, what="the lag of what is held")
        assert handled.next_offsets() == {0: 10}
        assert health.not_ready() is None
        release(handled)
        handled.eventually_settled(20)
        assert held(handled.topic) == 0
    assert handled.endings() == {"applied": 20}


def test_a_hold_outlives_a_restart(handled: Sink) -> None:
    hold_before_any_start(handled)
    handled.send(*numbered(1, 5))
    for _ in range(2):
        with handled.running() as worker:
            eventually_held(handled.topic)
            eventually(lambda: worker.progress.lag == 5, what="the lag of what is held")
        assert handled.endings() == {}
        assert held(handled.topic) == 0
    release(handled)
    handled.run()
    assert handled.endings() == {"applied": 5}


def hold_before_any_start(sink: Sink) -> None:
    sink.command("migrate")
    hold(sink)


def test_the_database_ends_a_hold_that_has_a_time(handled: Sink) -> None:
    with handled.running():
        handled.send(*numbered(1, 3))
        handled.eventually_settled(3)
        hold(handled, "--for", "1h")
        eventually_held(handled.topic)
        handled.send(*numbered(4, 6))
        handled.sql("UPDATE inbox.holds SET held_until = now()")
        handled.eventually_settled(6)


def test_a_busy_sink_takes_a_hold_and_what_is_under_way_is_finished(handled: Sink, at: Callable[..., None]) -> None:
    asked = []

    def ask() -> None:
        if not asked:
            asked.append(True)
            hold(handled)

    at(Failpoint.FENCED, ask, hit=3)
    handled.configure(HANDLER_ROUTE, sink="batch_events = 10")
    handled.send(*numbered(1, 10_000))
    with handled.running():
        eventually_held(handled.topic)
        reached = handled.next_offsets()[0]
        handled.send(*numbered(10_001, 10_001))
        assert handled.next_offsets()[0] == reached
    assert 0 < reached < 10_000
    assert handled.endings() == {"applied": reached}


def test_one_partition_is_held_and_the_other_continues(
    make_sink: Callable[..., Sink], offer: Callable[..., None]
) -> None:
    sink = make_sink(partitions=2)
    offer(handler=apply)
    sink.configure(HANDLER_ROUTE)
    sink.sql(EFFECTS)
    with sink.running():
        sink.send(*numbered(1, 2), *numbered(3, 4, partition=1))
        sink.eventually_settled(2)
        sink.eventually_settled(2, partition=1)
        hold(sink, where=":1")
        eventually_held(sink.topic)
        sink.send(*numbered(5, 6), *numbered(7, 8, partition=1))
        sink.eventually_settled(4)
        assert sink.next_offsets()[1] == 2
        release(sink, where=":1")
        sink.eventually_settled(4, partition=1)


def test_a_replay_waits_for_the_release(handled: Sink) -> None:
    with handled.running():
        handled.send(*numbered(1, 5))
        handled.eventually_settled(5)
        hold(handled)
        eventually_held(handled.topic)
        assert handled.command("replay", "--topic", handled.topic, "--from-earliest", "--execute") == 0
        handled.send(*numbered(6, 6))
        assert handled.column("SELECT state FROM inbox.replays") == ["running"]
        assert handled.next_offsets() == {0: 0}
        release(handled)
        handled.eventually_settled(6)
    assert handled.column("SELECT state FROM inbox.replays") == ["settled"]
    assert handled.endings() == {"applied": 6}


def test_hold_and_release_again_and_again_under_load(handled: Sink) -> None:
    handled.configure(HANDLER_ROUTE, sink="batch_events = 100")
    sent = 0
    with quiet(), handled.running() as worker:
        for _ in range(4):
            handled.send(*numbered(sent + 1, sent + 200))
            sent += 200
            hold(handled)
            eventually_held(handled.topic)
            release(handled)
            with taking_at_most(TAKEN_WITHIN_SECONDS):
                eventually(lambda: held(handled.topic) == 0, what="the release")
        handled.eventually_settled(sent)
        assert worker.progress.waiting_for is None
    assert handled.endings() == {"applied": sent}
    assert handled.column("SELECT count(*) FROM effects") == [sent]


# The commands.


def test_a_plan_changes_nothing(handled: Sink, inbox: Inbox) -> None:
    handled.command("migrate")
    planned = inbox("hold", "--topic", handled.topic, "--reason", "why")
    assert planned.code == 0
    assert "nothing was changed; add --execute" in planned.out
    assert handled.column("SELECT count(*) FROM inbox.holds") == [0]
    hold(handled)
    assert "add --execute to release it" in inbox("release", "--topic", handled.topic).out
    assert handled.column("SELECT count(*) FROM inbox.holds WHERE released_at IS NULL") == [1]


@pytest.mark.parametrize("wrong", ["topic", "route", "partition"])
def test_what_does_not_exist_is_refused_with_what_does(handled: Sink, inbox: Inbox, wrong: str) -> None:
    handled.run()
    arguments, told = {
        "topic": (["--topic", handled.topic + "x"], f"did you mean {handled.topic}?"),
        "route": (["--route", "handlr"], "did you mean handler?"),
        "partition": (["--topic", f"{handled.topic}:7"], "has no partition 7; it has 0 to 0"),
    }[wrong]
    refused = inbox("hold", *arguments, "--reason", "why", "--execute")
    assert refused.code == 1
    assert told in refused.err
    assert handled.column("SELECT count(*) FROM inbox.holds") == [0]


def test_a_route_that_shares_its_topic_needs_a_yes(handled: Sink, inbox: Inbox) -> None:
    handled.configure(HANDLER_ROUTE + HANDLER_ROUTE.replace("[[routes]]", '[[routes]]\nname = "second"'))
    handled.command("migrate")
    asked = ["hold", "--route", "second", "--reason", "why"]
    planned = inbox(*asked)
    assert planned.code == 0
    assert "routes that share these topics are held too: handler" in planned.out
    refused = inbox(*asked, "--execute")
    assert refused.code == 2
    assert "give --shared" in refused.err
    assert handled.column("SELECT count(*) FROM inbox.holds") == [0]
    assert inbox(*asked, "--shared", "--execute").code == 0
    assert handled.sql("SELECT route, topic FROM inbox.holds") == [("second", handled.topic)]
    assert inbox("release", "--route", "second", "--execute").code == 0


def test_the_release_of_what_nobody_holds_says_so(handled: Sink, inbox: Inbox) -> None:
    handled.command("migrate")
    found = inbox("release", "--topic", handled.topic, "--execute")
    assert found.code == 1
    assert f"nobody holds {handled.topic}" in found.err


def test_what_another_holds_stays_held(handled: Sink, inbox: Inbox) -> None:
    handled.command("migrate")
    hold(handled, "--by", "Ann")
    hold(handled, "--by", "Bob", where=":0")
    found = inbox("release", "--topic", f"{handled.topic}:0", "--execute")
    assert found.code == 0
    assert f"stays held:\nHELD: {handled.topic}, until it is released: a test\n  by Ann since" in found.out
    assert handled.column("SELECT requested_by FROM inbox.holds WHERE released_at IS NULL") == ["Ann"]


def test_status_shows_it_first_and_history_who_did_it(handled: Sink, inbox: Inbox) -> None:
    handled.run()
    hold(handled, "--by", "Ann", "--for", "2h")
    lines = inbox("status").out.splitlines()
    assert lines[0].startswith(f"HELD: {handled.topic}, until 2")
    assert lines[0].endswith(": a test")
    assert lines[1].startswith("  by Ann since")
    document: dict[str, Any] = json.loads(inbox("status", "--json").out)
    assert [each["requested_by"] for each in document["holds"]] == ["Ann"]
    assert [each["held"] for each in document["partitions"]] == [True]
    release(handled)
    assert json.loads(inbox("status", "--json").out)["holds"] == []
    actions = json.loads(inbox("history", "--json").out)["actions"]
    assert [each["command"] for each in actions][-2:] == ["hold", "release"]
    assert actions[-2]["plan"]["seconds"] == 7200
