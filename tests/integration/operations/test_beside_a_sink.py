"""Commands beside a sink that settles, and a log that loses its start, between any two of their questions."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inbox.kafka.cluster import Cluster
from inbox.operations.replay import replay as replaying
from inbox.store.inbox.replays import Replays
from tests.support.sink.logs import delete_below
from tests.support.sink.running import Out, Sink

Move = Callable[[], None]


@pytest.fixture
def move(handled: Sink) -> Iterator[Move]:
    """One more event arrives, all are settled, and retention deletes them."""
    handled.send(*(Out(number) for number in range(1, 11)))
    sent = 10

    def move() -> None:
        nonlocal sent
        sent += 1
        handled.send(Out(sent))
        handled.eventually_settled(sent)
        delete_below(handled, sent)

    with handled.running():
        handled.eventually_settled(10)
        yield move


@pytest.fixture
def after_every_question(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something moves before and after each question that a command puts to the brokers."""
    of_the_sink = {thread for thread in threading.enumerate() if thread is not threading.current_thread()}

    def moving(question: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: Any) -> Any:
            if threading.current_thread() in of_the_sink:
                return question(*arguments)
            move()
            answer = question(*arguments)
            move()
            return answer

        return asked

    for name in ("topics", "log_starts", "stable_ends"):
        monkeypatch.setattr(Cluster, name, moving(getattr(Cluster, name)))


@pytest.mark.usefixtures("after_every_question")
@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["status"],
        ["audit"],
        ["replay", "--topic", "TOPIC", "--shift-by", "-1"],
        ["replay", "--topic", "TOPIC", "--from-earliest"],
        ["resume", "--topic", "TOPIC", "--from-earliest"],
    ],
    ids=lambda command: "-".join(command),
)
def test_a_command_beside_a_sink_that_moves_is_0(
    handled: Sink, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = handled.command(*(part.replace("TOPIC", handled.topic) for part in command))
    told = capsys.readouterr()
    assert code == 0, told
    assert "truncated" not in told.out + told.err
    assert "lost" not in told.out + told.err


@pytest.mark.usefixtures("after_every_question")
def test_another_worker_starts_beside_a_sink_that_moves(handled: Sink) -> None:
    handled.worker()


def test_a_replay_begins_although_the_sink_settles_while_it_is_counted_and_locked(
    handled: Sink, move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, locking = replaying.count, Replays.lock

    def count(*arguments: Any, **named: Any) -> Any:
        move()
        return counting(*arguments, **named)

    def lock(*arguments: Any) -> None:
        move()
        locking(*arguments)

    monkeypatch.setattr(replaying, "count", count)
    monkeypatch.setattr(Replays, "lock", lock)
    assert handled.command("replay", "--topic", handled.topic, "--from-earliest", "--execute") == 0
    assert handled.sql("SELECT count(*) FROM inbox.replays") == [(1,)]
