"""A way to the database that can swallow packets: no answer, no reset, as when a firewall or a host is gone."""

import ctypes
import select
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from tests.support.databases import by_way_of

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A program of one classic BPF instruction: return 0, keep nothing (Linux, Documentation/networking/filter.rst)."""


class Blackhole:
    """A proxy that passes connections through until `open`; then not even the kernel acknowledges a byte."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._server = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.database_url = by_way_of(database_url, self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def open(self) -> None:
        """Let everything that arrives vanish, new connections too."""
        for end in [self._listener, *(client for client, _ in self._pairs)]:
            _swallow(end)

    def shut(self) -> None:
        """Let new connections pass.

        The swallowed ones stay dead, and the server sees their end, as its keepalives would show it.
        """
        self._listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        for _, server in self._pairs:
            _end(server)

    def __enter__(self) -> "Blackhole":
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        _end(self._listener)
        for pair in self._pairs:
            for end in pair:
                _end(end)
        for thread in self._threads:
            thread.join(120)
        for end in [self._listener, *(end for pair in self._pairs for end in pair)]:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            self._pairs.append((client, server))
            self._threads.append(threading.Thread(target=_pass, args=(client, server), daemon=True))
            self._threads[-1].start()


def _pass(client: socket.socket, server: socket.socket) -> None:
    other = {client: server, server: client}
    with suppress(OSError):
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(65536)
                if not data:
                    # The client of a swallowed connection must not notice: that is the point.
                    _end(server)
                    return
                other[source].sendall(data)


def _swallow(end: socket.socket) -> None:
    program = ctypes.create_string_buffer(_DROP_ALL)
    end.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
