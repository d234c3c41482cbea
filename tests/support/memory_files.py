"""Keep the files of the tests' PostgreSQL in memory, if the machine has enough.

Each test has a database of some 300 files, each database that is created or dropped flushes those of
all others, and each commit waits for the write-ahead log. On a disk this is more than half of what a
database costs. The server's settings stay as in production; a test about a server that crashes has a
server of its own, on the disk.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inbox.dev.backends import chosen_postgres
from inbox.dev.local.supervised import Supervised
from inbox.dev.local.unprivileged import account_for_postgres, let_through

MEMORY = Path("/dev/shm")  # noqa: S108 - a directory below it has a name of its own
_NEEDED_BYTES = 4 * 2**30
"""The free memory from which it is used. The databases of a run take less than one GiB at any time, the log 2 GB."""


@contextmanager
def memory_for_databases() -> Iterator[Path | None]:
    """Provide a directory in memory for the data of a PostgreSQL that is started here; None if there is none.

    The directory is removed with this process, however it ends. Raises StartupError.
    """
    if chosen_postgres().kind not in ("local", "pypi") or not _has_room():
        yield None
        return
    account, held = account_for_postgres(), Supervised("databases", parent=MEMORY)
    try:
        let_through(held.directory, account)
        yield held.directory
    finally:
        held.close()


def _has_room() -> bool:
    return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= _NEEDED_BYTES
