"""Keep the files of the tests' databases in memory, if the machine has enough.

Each test has a database of some 300 files, and each database that is dropped flushes those of all
others. On a disk this is half of what a database costs. The server's settings stay as in
production, and its write-ahead log stays on the disk.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inbox.dev.backends import chosen_postgres
from inbox.dev.local.supervised import Supervised
from inbox.dev.local.unprivileged import account_for_postgres, hand_over, let_through

MEMORY = Path("/dev/shm")  # noqa: S108 - a directory below it has a name of its own
_NEEDED_BYTES = 4 * 2**30
"""The free memory from which it is used. The databases of a run take less than one GiB at any time."""


@contextmanager
def memory_for_databases() -> Iterator[Path | None]:
    """Provide a directory in memory for a PostgreSQL that is started here; None if there is none.

    The directory is removed with this process, however it ends. Raises StartupError.
    """
    if chosen_postgres().kind not in ("local", "pypi") or not _has_room():
        yield None
        return
    account, held = account_for_postgres(), Supervised("databases", parent=MEMORY)
    try:
        let_through(held.directory, account)
        tablespace = held.directory / "tablespace"
        tablespace.mkdir(mode=0o700)
        hand_over(tablespace, account)
        yield tablespace
    finally:
        held.close()


def _has_room() -> bool:
    return MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= _NEEDED_BYTES
