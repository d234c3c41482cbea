"""A sink whose database is behind a PgBouncer in transaction mode."""

from collections.abc import Callable, Iterator

import pytest

from inbox.dev import backends
from inbox.errors import StartupError
from tests.integration.sink.conftest import at, make_sink, offer, sink  # noqa: F401 - fixtures
from tests.support.pooler import PgBouncer, installed


@pytest.fixture(scope="package")
def own_postgres() -> Iterator[backends.OwnServer]:
    """A PostgreSQL of these tests alone, of which every session is known."""
    try:
        server = backends.chosen_postgres().make_own()
        server.start()
    except StartupError as error:
        pytest.skip(f"needs a server of its own: {error}")
    yield server
    server.close()


@pytest.fixture(scope="package")
def any_pooler(servers: backends.Servers) -> Iterator[Callable[..., PgBouncer]]:
    """Starts poolers before the tests' PostgreSQL: `any_pooler(mode="session")`."""
    made: list[PgBouncer] = []

    def make(**how: object) -> PgBouncer:
        try:
            installed()
        except StartupError as error:
            pytest.skip(str(error))
        made.append(PgBouncer(servers.database_url, **how))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def pooler(any_pooler: Callable[..., PgBouncer]) -> PgBouncer:
    """One in transaction mode, with few sessions in the server, so that they are shared."""
    return any_pooler(pool_size=3)
