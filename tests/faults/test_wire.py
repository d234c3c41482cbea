"""PostgreSQL's messages are followed however they are cut into chunks."""

import struct

import pytest

from tests.faults.wire import SSL_REQUEST, ClientMessages, Seen, ServerMessages


def untyped(code: int, rest: bytes = b"") -> bytes:
    return struct.pack("!II", 8 + len(rest), code) + rest


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", 4 + len(body)) + body


STARTUP = untyped(196608, b"user\0me\0\0")
COMMIT = message(b"Q", b"COMMIT\0")
COMMITTED = message(b"C", b"COMMIT\0") + message(b"Z", b"I")


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_commit_is_found_at_its_place_in_whatever_chunks_it_comes(size: int) -> None:
    said = untyped(SSL_REQUEST) + STARTUP + message(b"Q", b"x" * 500) + COMMIT + message(b"Q", b"SELECT 1\0")
    client = ClientMessages()
    ends = []
    for begin in range(0, len(said), size):
        ends += [begin + seen.end for seen in client.feed(said[begin : begin + size]) if seen.is_commit]
    assert ends == [said.index(COMMIT) + len(COMMIT)]
    assert client.asked == 1


def test_a_refusal_of_encryption_is_no_message() -> None:
    client = ClientMessages()
    server = ServerMessages(client)
    list(client.feed(untyped(SSL_REQUEST)))
    assert list(server.feed(b"N")) == []
    list(client.feed(STARTUP))
    [answer, ready] = server.feed(COMMITTED)
    assert answer == Seen(b"C", 0, 12, b"COMMIT\0")
    assert answer.is_committed
    assert not ready.is_committed


def test_encryption_is_said_to_be_too_much() -> None:
    client = ClientMessages()
    list(client.feed(untyped(SSL_REQUEST)))
    with pytest.raises(ValueError, match="encrypts"):
        list(ServerMessages(client).feed(b"S"))


@pytest.mark.parametrize(
    ("said", "commits"),
    [
        (message(b"Q", b"commit;\0"), True),
        (message(b"P", b"\0COMMIT\0\0\0"), True),
        (message(b"P", b"statement_1\0COMMIT\0\0\0"), True),
        (message(b"Q", b"ROLLBACK\0"), False),
        (message(b"Q", b"COMMIT PREPARED 'a'\0"), False),
        (message(b"B", b"\0COMMIT\0"), False),
    ],
)
def test_which_messages_are_a_commit(said: bytes, commits: bool) -> None:
    client = ClientMessages()
    list(client.feed(STARTUP))
    [seen] = client.feed(said)
    assert seen.is_commit is commits


def test_a_rollback_in_answer_to_a_commit_is_not_committed() -> None:
    [seen] = ServerMessages(ClientMessages()).feed(message(b"C", b"ROLLBACK\0"))
    assert not seen.is_committed
