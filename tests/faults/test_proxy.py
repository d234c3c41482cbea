"""What the proxy does to a connection, seen from both of its ends."""

import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from inbox.dev.ports import LOOPBACK, free_port
from tests.faults.proxy import Cut, Proxy
from tests.support.databases import by_way_of
from tests.support.waiting import eventually

ANSWER_WITHIN = 120.0


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says back what it is told."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=repeat, args=(connection,), daemon=True).start()


def repeat(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1000):
                connection.sendall(data)
        except OSError:
            return


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def client(proxy: Proxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), timeout=ANSWER_WITHIN)


def test_bytes_pass_both_ways(proxy: Proxy) -> None:
    with client(proxy) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"


def test_a_delay_holds_up_each_way(proxy: Proxy) -> None:
    with client(proxy) as connection:
        proxy.delay_seconds = 0.1
        began = time.monotonic()
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        assert time.monotonic() - began >= 0.2


def test_a_reset_is_seen_as_one_and_a_new_connection_works(proxy: Proxy) -> None:
    with client(proxy) as connection:
        connection.sendall(b"hello")
        connection.recv(100)
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with client(proxy) as another:
        another.sendall(b"again")
        assert another.recv(100) == b"again"


def test_a_black_hole_takes_connections_and_answers_nothing_and_resets_them_at_its_end(proxy: Proxy) -> None:
    with client(proxy) as early, client(proxy) as untouched:
        with proxy.blackhole(), client(proxy) as late:
            for connection in (early, late):
                connection.sendall(b"hello")
                connection.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    connection.recv(100)
        early.settimeout(ANSWER_WITHIN)
        with pytest.raises(ConnectionResetError):
            early.recv(100)
        untouched.sendall(b"still here")
        assert untouched.recv(100) == b"still here"


def test_a_server_that_is_away_is_a_reset() -> None:
    with Proxy(free_port()) as proxy, pytest.raises(ConnectionResetError), client(proxy) as connection:
        connection.recv(100)


@pytest.mark.parametrize(("cut", "rows"), [(Cut.UNSENT, 0), (Cut.UNANSWERED, 1), (Cut.ANSWERED, 1)])
def test_a_cut_at_commit_leaves_what_its_name_says(database_url: str, cut: Cut, rows: int) -> None:
    server = urlsplit(database_url)
    with Proxy(server.port or 5432, postgresql=True) as proxy, psycopg.connect(database_url) as direct:
        direct.execute("CREATE TABLE here (n int)")
        direct.commit()
        connection = psycopg.connect(by_way_of(database_url, proxy.port))
        connection.execute("INSERT INTO here VALUES (1)")
        proxy.cut(cut)
        if cut is Cut.ANSWERED:
            connection.commit()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        else:
            with pytest.raises(psycopg.OperationalError):
                connection.commit()
        connection.close()
        eventually(lambda: proxy.cuts[cut] == 1, what="the cut")
        assert direct.execute("SELECT count(*) FROM here").fetchone() == (rows,)
