"""Watch how much memory a worker and its backends take."""

import threading
from pathlib import Path

import psycopg

_LOOK_SECONDS = 0.01
_LOOKS_FOR_BACKENDS = 20


class MemoryWatch:
    """A watch on the peaks of a worker and of each of its backends, in MB, without what the backends share."""

    def __init__(self, worker: int, database_url: str) -> None:
        self._worker = worker
        self._url = database_url
        self._stop = threading.Event()
        self.worker = self.backend = 0.0
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join(120)

    def _watch(self) -> None:
        query = (
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'kafka-inbox %'"
        )
        with psycopg.connect(self._url, autocommit=True) as connection:
            looks, pids = 0, list[int]()
            while not self._stop.wait(_LOOK_SECONDS):
                if looks % _LOOKS_FOR_BACKENDS == 0:
                    pids = [row[0] for row in connection.execute(query)]
                looks += 1
                self.worker = max(self.worker, resident(self._worker))
                self.backend = max([self.backend, *map(resident, pids)])


def resident(pid: int) -> float:
    """Return the memory that a process has for itself, in MB; 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))
