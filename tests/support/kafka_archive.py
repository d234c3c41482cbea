"""Make the archive from which every Kafka of the tests starts: a run has dozens of starts."""

import tempfile
from pathlib import Path

from inbox.dev.local.kafka import LocalKafka, silent
from inbox.dev.local.kafka_archive import archive_path
from inbox.dev.local.kafka_jars import kafka_jars
from inbox.dev.local.supervised import Supervised

_WRITTEN_WITHIN = 120.0


class _RecordedKafka(LocalKafka):
    """A Kafka that writes the archive to a file when it ends."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def _launch(self, process: Supervised) -> None:
        self._jvm_options = [*self._jvm_options, f"-XX:AOTCacheOutput={self._file}"]
        super()._launch(process)

    def finish(self) -> None:
        if self._process is not None:
            self._process.stop(within=_WRITTEN_WITHIN)


def make_archive() -> None:
    """Make the archive if there is none, from one start of a broker; a JVM before 25 makes none.

    Raises:
        StartupError: there is no such broker here.
    """
    path = archive_path()
    if path.is_file():
        return
    kafka_jars(silent)
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        file = Path(directory) / "classes.aot"
        broker = _RecordedKafka(file)
        try:
            broker.start()
            broker.finish()
        finally:
            broker.close()
        if file.is_file():
            file.replace(path)
