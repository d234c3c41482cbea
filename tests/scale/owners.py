"""How long partitions are without an owner that lives, watched from outside."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

import psycopg

LOOK_SECONDS = 0.2


class Owners:
    """Samples the ledger; a partition's owner is gone as soon as its process is."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="owners", daemon=True)
        self._owned_at: dict[int, float] = {}
        self.longest: dict[int, float] = {}
        self.samples = 0

    def __enter__(self) -> "Owners":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(10)

    def begin(self, partitions: int) -> None:
        """From now on each partition is to have an owner."""
        now = time.monotonic()
        self.longest = dict.fromkeys(range(partitions), 0.0)
        self._owned_at = dict.fromkeys(range(partitions), now)

    def alive(self) -> Mapping[int, int]:
        """The process that owns each partition now, for those whose owner lives."""
        with psycopg.connect(self._database_url, connect_timeout=5) as connection:
            rows = connection.execute(
                "SELECT partition, owner FROM inbox.partitions WHERE owner IS NOT NULL"
            ).fetchall()
        found = {partition: int(owner.split(":")[1]) for partition, owner in rows}
        return {partition: pid for partition, pid in found.items() if _lives(pid)}

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            with suppress(psycopg.OperationalError):
                owned = self.alive()
                now = time.monotonic()
                self.samples += 1
                for partition, since in self._owned_at.items():
                    self.longest[partition] = max(self.longest[partition], now - since)
                    if partition in owned:
                        self._owned_at[partition] = now


def _lives(pid: int) -> bool:
    """A killed process is a zombie until its keeper has taken note."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - read often
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
