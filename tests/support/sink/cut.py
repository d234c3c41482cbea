"""A way to the database that can be cut before a statement, or between a statement and its answer."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from tests.support.databases import by_way_of


class CuttingProxy:
    """A proxy that passes a PostgreSQL connection through, byte by byte, until it is asked to lose a part."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.database_url = by_way_of(database_url, self._listener.getsockname()[1])
        self._lose, self._lose_request = threading.Event(), threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.lost = 0

    def lose_the_next_answer(self) -> None:
        """Let the server do the next request; drop its answer, and the client's connection with it."""
        self._lose.set()

    def lose_the_next_request(self) -> None:
        """Drop the next request before the server has it, and the client's connection with it."""
        self._lose_request.set()

    def __enter__(self) -> "CuttingProxy":
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            _shut(end)
        for thread in self._threads:
            thread.join(120)
        for end in self._open:
            end.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._open += [client, server]
            self._start(self._pass, client, server, False)
            self._start(self._pass, server, client, True)

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                lose = self._lose if answers else self._lose_request
                if lose.is_set():
                    lose.clear()
                    self.lost += 1
                    break
                target.sendall(data)
        _shut(source)
        _shut(target)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
