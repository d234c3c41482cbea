"""Keeps a process that a handler forks from speaking on its parent's connections.

A child has the parent's sockets. One byte that it sends, or the farewell that libpq sends where it frees a
connection, would reach the parent's session in the middle of a batch. So in a child each of them leads to nowhere.
"""

import os
import socket
from weakref import WeakSet

import psycopg

_connections: "WeakSet[psycopg.Connection[tuple[object, ...]]]" = WeakSet()


def keep_from_children(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Cut this connection off in whatever process is forked from now on."""
    _connections.add(connection)


def _cut_off() -> None:
    nowhere, other_end = socket.socketpair()
    other_end.close()
    for connection in _connections:
        if not connection.closed:
            os.dup2(nowhere.fileno(), connection.fileno(), inheritable=False)
    nowhere.close()


os.register_at_fork(after_in_child=_cut_off)
