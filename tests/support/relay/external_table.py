"""An outbox that is an external table."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from inbox.store.options import ExternalTableColumns, ExternalTableOptions, OutboxOptions
from tests.conftest import MakeTopic
from tests.integration.relay.conftest import Stage
from tests.support.kafka_topics import unique_name

TABLE = """
CREATE TABLE public.events_out (
    event_id uuid PRIMARY KEY,
    type text NOT NULL,
    payload jsonb NOT NULL,
    status text NOT NULL DEFAULT 'NEW',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON public.events_out (created_at, event_id) WHERE status = 'NEW';
"""


@dataclass
class ExistingStage(Stage):
    """A `Stage` for `public.events_out`, which has no key and no topic of its own."""

    lease = "inbox.relay_leases"

    def migrate(self) -> None:
        super().migrate()
        with self.connect() as connection:
            connection.execute(TABLE.encode())

    def publish(self, *payloads: str | bytes, key: str | None = "a", on: psycopg.Connection[Any] | None = None) -> None:
        with self.connect() as own:
            for payload in payloads:
                (on or own).execute(
                    "INSERT INTO public.events_out (event_id, type, payload) VALUES (%s, 'T', %s)", (uuid4(), payload)
                )

    def unsent(self) -> int:
        return int(self.rows("SELECT count(*) FROM public.events_out WHERE status = 'NEW'")[0][0])

    def unmarkable(self) -> "closing[psycopg.Connection[Any]]":
        """Let rows be read and sent, but the relay wait when it marks them, as long as the context is entered."""
        locking = self.connect()
        locking.execute("LOCK public.events_out IN SHARE MODE")
        return closing(locking)


MakeExistingStage = Callable[..., ExistingStage]


@pytest.fixture
def make_existing_stage(database_url: str, bootstrap_servers: str, make_topic: MakeTopic) -> MakeExistingStage:
    def make(**config: Any) -> ExistingStage:
        topic = make_topic(**config)
        existing = ExternalTableOptions(table="public.events_out", topic=topic, columns=ExternalTableColumns())
        outbox = OutboxOptions(existing=existing, transactional_id=unique_name("relay"))
        stage = ExistingStage(database_url, bootstrap_servers, topic, outbox=outbox)
        stage.migrate()
        return stage

    return make
