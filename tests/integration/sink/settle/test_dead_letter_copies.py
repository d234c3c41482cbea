"""With `[failures] copy_to` each dead letter is also in the outbox, from the same transaction."""

import json
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from inbox.errors import HaltError
from tests.conftest import MakeTopic
from tests.integration.relay.conftest import read_all
from tests.integration.sink.conftest import Fussy, numbered
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually


@pytest.fixture
def copying(handled_by: Callable[..., Sink], fussy: Fussy) -> Callable[..., Sink]:
    """A sink that refuses 1, and copies what it parks: `copying(failures=..., outbox=...)`, further lines of both."""

    def make(failures: str = "", outbox: str = "") -> Sink:
        fussy.refused = {1}
        sink = handled_by(fussy, rest=f'[failures]\ncopy_to = "parked.copies"\n{failures}\n[outbox]\n{outbox}')
        assert sink.command("migrate") == 0
        return sink

    return make


@pytest.fixture
def copied(copying: Callable[..., Sink]) -> Sink:
    return copying()


def copies(sink: Sink) -> list[dict[str, Any]]:
    rows = sink.sql("SELECT payload::text FROM inbox.outbox ORDER BY position")
    return [json.loads(payload) for (payload,) in rows]


def test_a_parked_event_and_those_behind_it_are_copied_whole(copied: Sink) -> None:
    copied.send(numbered(1, "a"), numbered(2, "a"), numbered(3, "b"))
    copied.run()
    parked, waiting = copies(copied)
    assert (parked["state"], parked["offset"], parked["error"]) == ("parked", 0, "number 1 is refused")
    assert (parked["topic"], parked["partition"], parked["route"]) == (copied.topic, 0, "handler")
    assert (b64decode(parked["key"]), json.loads(b64decode(parked["value"]))) == (b"a", {"n": 1})
    assert "event_id" in [name for name, _ in parked["headers"]]
    assert (waiting["state"], waiting["offset"]) == ("waiting", 1)
    rows = copied.sql("SELECT topic, aggregate_id, type FROM inbox.outbox")
    assert rows == [("parked.copies", "a", "DeadLetter")] * 2


def test_a_key_that_is_no_text_is_in_the_copy_alone(copied: Sink) -> None:
    copied.send(Out(1, {"n": 1}, b"\xff\x00"))
    copied.run()
    assert copied.column("SELECT aggregate_id = event_id::text FROM inbox.outbox") == [True]
    assert b64decode(copies(copied)[0]["key"]) == b"\xff\x00"


def test_a_copy_is_made_in_an_outbox_of_bytes_too(copying: Callable[..., Sink]) -> None:
    sink = copying(outbox='payload = "bytea"')
    sink.send(numbered(1, "a"))
    sink.run()
    (payload,) = sink.column("SELECT payload FROM inbox.outbox")
    assert json.loads(payload)["error"] == "number 1 is refused"


def test_what_is_not_parked_in_the_end_is_not_copied(copying: Callable[..., Sink], fussy: Fussy) -> None:
    sink = copying(failures='order = "halt"')
    fussy.refused = {1, 2}
    sink.send(numbered(1, "a"), numbered(2, "b"))
    with pytest.raises(HaltError, match="cannot apply"):
        sink.run()
    assert (sink.dead_letters(), copies(sink)) == ([], [])


def test_what_fails_again_or_is_parked_again_is_not_copied_again(copied: Sink) -> None:
    copied.send(numbered(1, "a"))
    copied.run()
    assert copied.command("dead-letters", "retry", "--all", "--execute") == 1
    copied.sql("UPDATE inbox.dead_letters SET state = 'retried'")
    copied.sql("UPDATE inbox.partitions SET next_offset = 0, owner_epoch = owner_epoch + 1")
    copied.run()
    eventually(lambda: copied.dead_letters() == [(0, "parked")], what="the event to be parked again")
    assert len(copies(copied)) == 1


def test_a_copy_as_a_record_is_the_record_with_the_headers_of_connect(
    handled_by: Callable[..., Sink], fussy: Fussy, make_topic: MakeTopic, bootstrap_servers: str
) -> None:
    fussy.refused, topic = {1}, make_topic(partitions=1)
    copying = f'[failures]\ncopy_to = "{topic}"\ncopy_format = "record"\n[outbox]\nenvelope = "cloudevents"'
    sink = handled_by(fussy, rest=copying)
    assert sink.command("migrate") == 0
    sink.send(Out(1, b'{ "n": 1 }', b"\xff\x00", headers={"raw": b"\xfe", "none": None}), Out(2, None, None))
    sink.run()
    assert sink.command("relay", "--until-empty") == 0
    record, *_ = read_all(bootstrap_servers, topic)
    assert (record.key(), record.value()) == (b"\xff\x00", b'{ "n": 1 }')
    headers = record.headers() or []
    assert headers[1:3] == [("raw", b"\xfe"), ("none", None)]
    assert [name.removeprefix("__connect.errors.") for name, _ in headers[3:]] == [
        *("topic", "partition", "offset", "connector.name", "stage", "class.name"),
        *("exception.class.name", "exception.message"),
    ]
    context = dict(headers[3:])
    assert context["__connect.errors.topic"] == sink.topic.encode()
    assert context["__connect.errors.exception.message"] == b"number 1 is refused"
