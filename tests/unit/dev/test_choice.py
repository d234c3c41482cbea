"""Which server is chosen, without starting one."""

import socket
from pathlib import Path

import pytest

from inbox.dev import backends, containers
from inbox.dev.local.postgres_binaries import PostgresBinaries
from inbox.dev.named_servers import NamedDatabase
from inbox.errors import StartupError
from tests.support.waiting import Stopwatch

LOCAL = PostgresBinaries(directory=Path("/nowhere"), version="15.2", origin="local binaries")


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INBOX_TEST_KAFKA", "INBOX_TEST_DATABASE", "INBOX_TEST_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(backends, "daemon_answers", lambda: False)
    monkeypatch.setattr(backends, "machine_binaries", lambda: None)


def kinds(found: list[backends.Backend]) -> list[str]:
    return [backend.kind for backend in found]


def test_a_bare_machine_gets_what_the_package_index_offers() -> None:
    assert kinds(backends.kafka_backends()) == ["pypi"]
    assert kinds(backends.postgres_backends()) == ["pypi"]


def test_each_server_is_chosen_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_TEST_KAFKA", "broker:9092")
    assert backends.chosen_kafka().kind == "environment"
    assert backends.chosen_postgres().kind == "pypi"


def test_the_order_is_environment_docker_local_pypi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_TEST_DATABASE", "postgresql://host/database")
    monkeypatch.setattr(backends, "daemon_answers", lambda: True)
    monkeypatch.setattr(backends, "machine_binaries", lambda: LOCAL)
    assert kinds(backends.postgres_backends()) == ["environment", "docker", "local", "pypi"]
    assert kinds(backends.kafka_backends()) == ["docker", "pypi"]


@pytest.mark.parametrize(("forced", "kind"), [("docker", "docker"), ("local", "local"), ("pypi", "pypi")])
def test_the_choice_can_be_forced(monkeypatch: pytest.MonkeyPatch, forced: str, kind: str) -> None:
    monkeypatch.setenv("INBOX_TEST_BACKEND", forced)
    monkeypatch.setattr(backends, "daemon_answers", lambda: True)
    monkeypatch.setattr(backends, "machine_binaries", lambda: LOCAL)
    assert backends.chosen_postgres().kind == kind


def test_a_forced_choice_that_is_not_there_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_TEST_BACKEND", "environment")
    with pytest.raises(StartupError, match=r"INBOX_TEST_BACKEND=environment; name a broker in INBOX_TEST_KAFKA"):
        backends.chosen_kafka()


def test_an_unknown_choice_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_TEST_BACKEND", "podman")
    with pytest.raises(StartupError, match="'podman' is unknown; use one of environment, docker, local, pypi"):
        backends.kafka_backends()


def test_a_server_of_somebody_else_is_not_for_killing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_TEST_KAFKA", "broker:9092")
    with pytest.raises(StartupError, match="cannot be stopped"):
        backends.chosen_kafka().make_own()


def test_a_database_url_that_is_none_is_not_repeated() -> None:
    with pytest.raises(StartupError, match="is not a database URL") as caught:
        NamedDatabase("postgres//user:secret@host/database")
    assert "secret" not in str(caught.value)


def test_a_docker_daemon_that_never_answers_costs_less_than_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> float:
        watch = Stopwatch()
        assert not containers.daemon_answers.__wrapped__()
        return watch.seconds()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        # A busy machine makes one look longer, never shorter.
        assert any(look() < 2 for _ in range(3))
