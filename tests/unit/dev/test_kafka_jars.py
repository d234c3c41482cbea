"""The jars are downloaded once, whatever happens meanwhile."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from inbox.dev.local import kafka_jars
from inbox.errors import StartupError

NAMES = ["kafka_2.13.jar", "kafka-clients.jar"]


class Repository:
    """Stands in for the network: counts, and waits for `together` downloads at once."""

    def __init__(self) -> None:
        self.downloads = 0
        self.together: threading.Barrier | None = None

    def resolve(self, _artifacts: Sequence[str], directory: Path) -> list[Path]:
        self.downloads += 1
        directory.mkdir()
        for name in NAMES:
            (directory / name).write_text(f"contents of {name}")
        if self.together is not None:
            self.together.wait(120)
        return [directory / name for name in NAMES]


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Repository:
    repository = Repository()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kafka_jars, "_resolve", repository.resolve)
    pins = {name: hashlib.sha256(f"contents of {name}".encode()).hexdigest() for name in NAMES}
    monkeypatch.setattr(kafka_jars, "APACHE_KAFKA", replace(kafka_jars.APACHE_KAFKA, pins=pins))
    return repository


def test_the_second_start_needs_no_network_and_says_nothing(repository: Repository) -> None:
    said: list[str] = []
    first = kafka_jars.kafka_jars(said.append)
    assert "downloading Apache Kafka 4.1.0 (43 MB, once)" in said
    said.clear()
    assert kafka_jars.kafka_jars(said.append) == first
    assert [path.name for path in first] == NAMES
    assert (repository.downloads, said) == (1, [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("half"),
        lambda path: (path.parent / kafka_jars.RECORD).write_text("{"),
    ],
    ids=["missing", "truncated", "record"],
)
def test_what_is_not_whole_is_downloaded_again(repository: Repository, damage: Callable[[Path], object]) -> None:
    damage(kafka_jars.kafka_jars(print)[0])
    assert kafka_jars.recorded_jars() is None
    kafka_jars.kafka_jars(print)
    assert kafka_jars.recorded_jars() is not None
    assert repository.downloads == 2


def test_two_first_starts_at_once_agree(repository: Repository) -> None:
    repository.together = threading.Barrier(2)
    results: list[list[Path]] = []
    threads = [threading.Thread(target=lambda: results.append(kafka_jars.kafka_jars(print))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert results[0] == results[1] == kafka_jars.recorded_jars()
    assert [path.name for path in kafka_jars.cache_directory().iterdir()] == [kafka_jars.jars_directory().name]


def test_no_network_says_what_to_do(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_artifacts: Sequence[str], _directory: Path) -> list[Path]:
        raise ConnectionError("no route")

    monkeypatch.setattr(kafka_jars, "_resolve", fail)
    with pytest.raises(StartupError, match=r"could not be downloaded \(ConnectionError\); try again with a network"):
        kafka_jars.kafka_jars(print)


def test_a_cache_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StartupError, match="set XDG_CACHE_HOME"):
        kafka_jars.kafka_jars(print)


@pytest.mark.parametrize("change", ["another digest", "one more", "one less"])
def test_a_download_that_is_not_what_was_pinned_is_neither_kept_nor_run(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    pins = dict(kafka_jars.APACHE_KAFKA.pins)
    if change == "another digest":
        pins[NAMES[0]] = "0" * 64
    elif change == "one more":
        pins["absent.jar"] = "0" * 64
    else:
        del pins[NAMES[0]]
    monkeypatch.setattr(kafka_jars, "APACHE_KAFKA", replace(kafka_jars.APACHE_KAFKA, pins=pins))
    with pytest.raises(StartupError, match=r"differs from what this version pins by SHA-256: "):
        kafka_jars.kafka_jars(print)
    assert list(kafka_jars.cache_directory().iterdir()) == []
