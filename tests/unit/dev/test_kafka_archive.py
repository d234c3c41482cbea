"""Every Kafka of a machine starts from the archive of its classes, once that was made."""

from pathlib import Path

import pytest

from inbox.dev.local.kafka import LocalKafka
from inbox.dev.local.kafka_archive import archive_options, archive_path


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = archive_path()
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_a_broker_starts_from_the_archive(made: Path) -> None:
    assert f"-XX:AOTCache={made}" in LocalKafka()._jvm_options


def test_a_broker_that_is_to_run_at_full_speed_does_not(made: Path) -> None:
    assert not [option for option in LocalKafka(quick_start=False)._jvm_options if "AOT" in option]


def test_without_an_archive_there_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert archive_options() == []
