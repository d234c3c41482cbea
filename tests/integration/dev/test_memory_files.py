"""The tests' databases in memory."""

from contextlib import closing

import psycopg
import pytest

from inbox.dev.backends import postgres_backends
from tests.support import memory_files
from tests.support.databases import create_database, keep_databases_in
from tests.support.memory_files import memory_for_databases

LOCAL = [backend for backend in postgres_backends() if backend.kind in ("local", "pypi")]


@pytest.fixture(autouse=True)
def any_room_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "_NEEDED_BYTES", 64 * 2**20)
    monkeypatch.delenv("INBOX_TEST_DATABASE", raising=False)
    monkeypatch.setenv("INBOX_TEST_BACKEND", "local")


@pytest.mark.skipif(not LOCAL or not memory_files.MEMORY.is_dir(), reason="no PostgreSQL of ours, or no /dev/shm")
def test_new_databases_are_in_memory_and_the_directory_is_removed() -> None:
    with memory_for_databases() as memory:
        assert memory is not None
        with closing(LOCAL[0].make_own()) as server:
            server.start()
            keep_databases_in(memory, server.address)
            with psycopg.connect(create_database(server.address, "quick"), autocommit=True) as connection:
                connection.execute("CREATE TABLE t AS SELECT generate_series(1, 3)")
                path, fsync = connection.execute(
                    "SELECT pg_relation_filepath('t'), current_setting('fsync')"
                ).fetchone()  # type: ignore[misc]
            assert path.startswith("pg_tblspc/")
            assert fsync == "on"
    assert not memory.exists()


def test_a_server_of_somebody_else_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_TEST_BACKEND", "environment")
    monkeypatch.setenv("INBOX_TEST_DATABASE", "postgresql://somewhere/else")
    with memory_for_databases() as memory:
        assert memory is None
