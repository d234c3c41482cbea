"""Find ports on the loopback address that stay ours while a server is down."""

import random
import socket

from inbox.errors import StartupError

LOOPBACK = "127.0.0.1"
# Below the range from which the system takes the local ports of outgoing connections (32768 on Linux, 49152
# elsewhere): a client that reconnects to a stopped server could otherwise be given the server's own port, and
# connect to itself.
CANDIDATES = range(15000, 32000)
TRIES = 200


def free_port() -> int:
    """Return a port on the loopback address on which no process listens now.

    Raises StartupError if none is found.
    """
    for _ in range(TRIES):
        port = random.choice(CANDIDATES)  # noqa: S311 - chance spreads concurrent runs, no secret in it
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise StartupError(f"no free port among {CANDIDATES} on {LOOPBACK}; stop what holds them")
