"""A connection whose statements are sent in small parts."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from pydantic import SecretStr

from inbox.sink.settle import fast_path
from inbox.store.options import DatabaseOptions
from inbox.store.postgres import session_settings
from inbox.store.postgres.connection import Connection, connect


@pytest.fixture
def in_small_parts(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """As a worker has it, but on this test's search path; flights are cut into parts of one, two and two events."""
    monkeypatch.setattr(session_settings, "OWN_PATH", "public")
    monkeypatch.setattr(fast_path, "_FIRST_PART", 1)
    monkeypatch.setattr(fast_path, "_PART", 2)
    with closing(connect(DatabaseOptions(url=SecretStr(database_url)))) as connection:
        yield connection
