"""The HTTP endpoint, as clients that mean harm find it."""

import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from inbox import web
from inbox.dev.ports import free_port
from tests.waiting import eventually


class Well:
    """Probes of a sink that is well."""

    def not_live(self) -> str | None:
        return None

    def not_ready(self) -> str | None:
        return None


@pytest.fixture
def port() -> Iterator[int]:
    """Where an endpoint answers."""
    found = free_port()
    with web.serving(("127.0.0.1", found), Well()):
        yield found


Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(port: int) -> Iterator[Connect]:
    """Opens a connection that sends the beginning of a request and no more."""
    with ExitStack() as opened:

        def begin() -> socket.socket:
            slow = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=10)))
            slow.sendall(b"GET /live HTTP/1.1\r\n")
            return slow

        yield begin


def probe(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=5) as response:
        return int(response.status)


def http_threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_a_probe_is_answered_however_many_slow_clients_there_are(port: int, connect: Connect) -> None:
    for _ in range(100):
        connect()
    assert probe(port) == 200


def test_slow_clients_hold_a_bounded_number_of_threads(port: int, connect: Connect) -> None:
    for _ in range(100):
        connect()
    assert probe(port) == 200
    eventually(lambda: http_threads() <= web._MOST_CONNECTIONS, within=10)


def test_a_client_that_sends_byte_by_byte_is_cut_off(
    port: int, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_REQUEST_SECONDS", 0.5)
    slow, deadline = connect(), time.monotonic() + 10
    slow.settimeout(0.2)
    while time.monotonic() < deadline:
        try:
            slow.sendall(b"x")
            if slow.recv(100) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    assert time.monotonic() < deadline
