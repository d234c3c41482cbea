"""A real registry that is killed under load: no event is parked, and what waited is settled once it is back."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from confluent_kafka.schema_registry import Schema

from inbox import Event, Transaction
from inbox.dev.local.registry import LocalRegistry
from inbox.dev.local.registry_archive import is_unpacked
from tests.integration.sink.conftest import EFFECTS
from tests.integration.sink.formats.test_registry_away import ROUTE, effects, framed
from tests.support.schemas import registry_client
from tests.support.sink.running import Out, Sink

SCHEMAS = ('"int"', '"long"')
EACH = 100


@pytest.fixture
def killable() -> Iterator[LocalRegistry]:
    """A registry of this test alone, not started."""
    if not is_unpacked():
        pytest.skip("Apicurio Registry is not in the cache")
    with closing(LocalRegistry()) as registry:
        yield registry


def registered(registry: LocalRegistry) -> list[int]:
    """Register the schemas and return their ids; a registry whose storage is empty gives the same each time."""
    with registry_client(registry.url) as client:
        return [client.register_schema(f"killed-{at}", Schema(text, "AVRO")) for at, text in enumerate(SCHEMAS)]


@pytest.mark.long
def test_what_is_cached_continues_and_the_rest_waits_for_a_registry_that_was_killed(
    make_sink: Callable[..., Sink], offer: Callable[..., None], killable: LocalRegistry
) -> None:
    def apply(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, %s)", (event.id.int, str(event.data)))

    offer(handler=apply)
    sink = make_sink(partitions=2)
    sink.sql(EFFECTS)
    killable.start()
    cached, later = ids = registered(killable)
    sink.configure(ROUTE, rest=f'[registry]\nurl = "{killable.url}"\ntimeout = 2')

    def send(first: int, schema_id: int, partition: int) -> None:
        sink.send(*(Out(first + number, framed(schema_id), partition=partition) for number in range(EACH)))

    with sink.running():
        send(1000, cached, partition=1)
        sink.eventually_settled(EACH, partition=1)
        killable.kill()
        send(2000, later, partition=0)
        send(3000, cached, partition=1)
        sink.eventually_settled(2 * EACH, partition=1)
        assert sink.endings()["applied"] == 2 * EACH
        killable.start()
        assert registered(killable) == ids
        sink.eventually_settled(EACH, partition=0)
    assert sink.dead_letters() == []
    assert len(effects(sink)) == 3 * EACH
