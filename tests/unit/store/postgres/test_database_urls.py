"""The URL of another database of a server."""

import pytest

from inbox.store.postgres.database_urls import with_database


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("postgresql://me:s@db:5432/a", "postgresql://me:s@db:5432/b"),
        ("postgresql://db", "postgresql://db/b"),
        ("postgresql:///a?host=/run/postgresql", "postgresql:///b?host=/run/postgresql"),
    ],
)
def test_everything_but_the_database_stays(url: str, other: str) -> None:
    assert with_database(url, "b") == other
