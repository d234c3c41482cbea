"""Who gave a command, as the tables note it."""

import os
import socket
from getpass import getuser

from inbox.store.postgres.connection import SinkConnection


def this_person(connection: SinkConnection) -> str:
    """The OS user, the host and the database user."""
    try:
        user = getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} (database user {connection.info.user})"
