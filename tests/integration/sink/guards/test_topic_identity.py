"""A log that is no longer the one that the ledger speaks of, met while the sink runs: it stops before it loses one."""

import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from inbox.errors import HaltError
from tests.support.kafka_topics import topic_id
from tests.support.sink.logs import delete_below, effects, make_anew
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually


def has_stopped() -> bool:
    return not any(thread.name == "worker-under-test" for thread in threading.enumerate())


@contextmanager
def halting(sink: Sink) -> Iterator[list[str]]:
    """A worker that halts at the end of what is done in the context; the list then holds why."""
    why: list[str] = []
    try:
        with sink.running():
            yield why
            eventually(has_stopped, what="the halt")
    except HaltError as error:
        why.append(str(error))
    assert why


def as_uuid(kafka_id: str) -> str:
    return str(UUID(bytes=urlsafe_b64decode(kafka_id + "==")))


def test_a_topic_made_anew_and_longer_than_before_is_never_read_as_the_old_one(
    handled: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox.sink.guards.topic_identity._IDLE_CHECK_SECONDS", 3600.0)
    old_id = as_uuid(topic_id(handled.bootstrap_servers, handled.topic))
    with halting(handled) as why:
        handled.send(Out(1), Out(2), Out(3))
        handled.eventually_settled(3)
        make_anew(handled)
        handled.send(*(Out(number) for number in range(101, 111)))
    new_id = as_uuid(topic_id(handled.bootstrap_servers, handled.topic))
    assert why == [
        f"topic {handled.topic} was deleted and created again: the ledger has {handled.topic}[0]@3 (log 0 up to 10) of "
        f"topic id {old_id}, the cluster has topic id {new_id}; decide with `inbox resume --topic {handled.topic} "
        "--new-topic --accept-loss`"
    ]
    assert effects(handled) == [1, 2, 3]
    assert handled.next_offsets() == {0: 3}


def test_an_idle_sink_sees_within_seconds_that_its_topic_was_made_anew(
    handled: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was settled yet, so its next offset is in the new log as well."""
    monkeypatch.setattr("inbox.sink.guards.topic_identity._IDLE_CHECK_SECONDS", 1.0)
    with halting(handled) as why:
        eventually(lambda: handled.next_offsets() == {0: 0}, what="the start")
        make_anew(handled)
    assert "was deleted and created again" in why[0]


def test_a_topic_made_anew_and_shorter_says_so_when_the_brokers_refuse_the_offset(handled: Sink) -> None:
    with halting(handled) as why:
        handled.send(Out(1), Out(2), Out(3))
        handled.eventually_settled(3)
        make_anew(handled)
    assert f"created again: the ledger has {handled.topic}[0]@3 (log 0 up to 0)" in why[0]


def test_events_deleted_before_they_were_settled_are_counted_in_the_halt(handled: Sink) -> None:
    handled.send(Out(1), Out(2))
    handled.run()
    handled.send(*(Out(number) for number in range(3, 11)))
    delete_below(handled, 7)
    with pytest.raises(HaltError) as halt:
        handled.run()
    assert str(halt.value) == (
        f"{handled.topic}[0]: the ledger expects offset 2 next, but the log holds offsets 7 up to 10: 5 offsets were "
        f"deleted before they were settled; continue behind them with `inbox resume --topic {handled.topic}:0 "
        "--from-earliest --accept-loss`"
    )


def test_a_log_start_that_passes_the_ledger_between_start_and_assignment_halts_the_run(handled: Sink) -> None:
    handled.send(Out(1), Out(2))
    handled.run()
    handled.send(*(Out(number) for number in range(3, 11)))
    worker = handled.worker()
    delete_below(handled, 7)
    with pytest.raises(HaltError, match="holds offsets 7 up to 10: 5 offsets were deleted before they were settled"):
        worker.run()
    assert effects(handled) == [1, 2]


def test_the_ledger_keeps_the_leader_epoch_of_the_last_record(handled: Sink) -> None:
    handled.send(Out(1), Out(2))
    handled.run()
    assert handled.column("SELECT leader_epoch FROM inbox.partitions") == [0]
