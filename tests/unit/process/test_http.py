"""The HTTP endpoint, as clients that mean harm find it."""

import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from inbox.dev.ports import free_port
from inbox.process import http
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]


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
    with http.serving(("127.0.0.1", found), Well()):
        yield found


Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(port: int) -> Iterator[Connect]:
    """Opens a connection that sends the beginning of a request and no more."""
    with ExitStack() as opened:

        def begin() -> socket.socket:
            slow = opened.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=120)))
            slow.sendall(b"GET /live HTTP/1.1\r\n")
            return slow

        yield begin


def probe(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=120) as response:
        return int(response.status)


def http_threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_a_probe_is_answered_however_many_slow_clients_there_are(port: int, connect: Connect) -> None:
    for _ in range(100):
        connect()
    assert probe(port) == 200


SERVER = """
import resource, sys
from inbox.process import http
from tests.unit.process.test_http import Well

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with http.serving(("127.0.0.1", int(sys.argv[1])), Well()):
    sys.stdin.read()
"""


def test_a_thousand_slow_clients_hold_a_bounded_number_of_descriptors() -> None:
    """The server is a process that may have 64, so that a probe would wait for ever if each client held one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2000)), hard))
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port)]
    with ExitStack() as held, subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as server:
        held.callback(server.terminate)
        eventually(lambda: answers(port))
        for _ in range(1000):
            slow = held.enter_context(closing(socket.create_connection(("127.0.0.1", port), timeout=120)))
            slow.sendall(b"GET /live HTTP/1.1\r\n")

        assert probe(port) == 200
        descriptors = Path(f"/proc/{server.pid}/fd")
        eventually(lambda: len(list(descriptors.iterdir())) <= http._MOST_CONNECTIONS + 16)
        assert server.poll() is None


def answers(port: int) -> bool:
    with suppress(OSError):
        return probe(port) == 200
    return False


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"])
def test_it_answers_questions_alone(port: int, method: str) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/live", method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=120)  # noqa: S310 - our own server
    with refused.value as response:
        assert response.code == 501


def test_slow_clients_hold_a_bounded_number_of_threads(port: int, connect: Connect) -> None:
    for _ in range(100):
        connect()
    assert probe(port) == 200
    eventually(lambda: http_threads() <= http._MOST_CONNECTIONS)


def test_a_client_that_sends_byte_by_byte_is_cut_off(
    port: int, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_REQUEST_SECONDS", 0.5)
    slow, deadline = connect(), time.monotonic() + 60
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
