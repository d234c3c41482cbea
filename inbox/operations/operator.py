"""The name of the person who gave a command, as the tables note it."""

import os
import socket
from getpass import getuser

from inbox.store.postgres.connection import Connection


def current_operator(connection: Connection) -> str:
    """Return the OS user, the host and the database user as one text."""
    try:
        user = getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} (database user {connection.info.user})"
