"""The tests' databases in memory."""

from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from inbox.dev.backends import postgres_backends
from tests.support import memory_files
from tests.support.databases import create_database
from tests.support.memory_files import memory_for_databases

LOCAL = [backend for backend in postgres_backends() if backend.kind in ("local", "pypi")]


@pytest.fixture(autouse=True)
def any_room_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_files, "_NEEDED_BYTES", 64 * 2**20)
    monkeypatch.delenv("INBOX_TEST_DATABASE", raising=False)
    monkeypatch.setenv("INBOX_TEST_BACKEND", "local")


@pytest.mark.skipif(not LOCAL or not memory_files.MEMORY.is_dir(), reason="no PostgreSQL of ours, or no /dev/shm")
def test_the_server_s_data_is_in_memory_and_removed_with_its_directory() -> None:
    with memory_for_databases() as memory:
        assert memory is not None
        [backend] = [each for each in postgres_backends(memory) if each.kind == LOCAL[0].kind]
        with closing(backend.make_own()) as server:
            server.start()
            with psycopg.connect(create_database(server.address, "quick"), autocommit=True) as connection:
                connection.execute("CREATE TABLE t AS SELECT generate_series(1, 3)")
                path, data, fsync = connection.execute(
                    "SELECT pg_relation_filepath('t'), current_setting('data_directory'), current_setting('fsync')"
                ).fetchone()  # type: ignore[misc]
            assert memory in (Path(data) / path).parents
            assert (memory / "data" / path).exists()
            assert fsync == "on"
    assert not memory.exists()


@pytest.mark.skipif(not LOCAL, reason="no PostgreSQL of ours")
def test_a_copy_of_a_database_has_what_its_template_has() -> None:
    with closing(LOCAL[0].make_own()) as server:
        server.start()
        with psycopg.connect(create_database(server.address, "first"), autocommit=True) as connection:
            connection.execute("CREATE TABLE t AS SELECT generate_series(1, 3) AS n")
        with psycopg.connect(create_database(server.address, "second", template="first")) as connection:
            assert connection.execute("SELECT sum(n) FROM t").fetchone() == (6,)


def test_a_server_of_somebody_else_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX_TEST_BACKEND", "environment")
    monkeypatch.setenv("INBOX_TEST_DATABASE", "postgresql://somewhere/else")
    with memory_for_databases() as memory:
        assert memory is None
