"""Keep a process that a handler forks from using its parent's connections.

A child has the parent's sockets. One byte that it sends, or libpq's message when it frees a
connection, would reach the parent's session in the middle of a batch. In a child each of these
sockets is therefore disconnected.
"""

import os
import socket
from weakref import WeakSet

import psycopg

_connections: "WeakSet[psycopg.Connection[tuple[object, ...]]]" = WeakSet()


def keep_from_children(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Cut this connection off in every process that is forked from now on."""
    _connections.add(connection)


def _cut_off() -> None:
    nowhere, other_end = socket.socketpair()
    other_end.close()
    for connection in _connections:
        if not connection.closed:
            os.dup2(nowhere.fileno(), connection.fileno(), inheritable=False)
    nowhere.close()


os.register_at_fork(after_in_child=_cut_off)
