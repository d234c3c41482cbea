"""Quix Streams' PostgreSQL sink on the orders, run by the interpreter that has its packages."""

import sys
from urllib.parse import unquote, urlsplit

from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink


def main() -> None:
    bootstrap_servers, topic, database_url, batch = sys.argv[1:]
    database = urlsplit(database_url)
    application = Application(
        broker_address=bootstrap_servers,
        consumer_group=f"{topic}-quix-{database.path[1:]}",
        auto_offset_reset="earliest",
        commit_every=int(batch),
        loglevel="WARNING",
    )
    orders = PostgreSQLSink(
        host=str(database.hostname),
        port=int(database.port or 5432),
        dbname=database.path[1:],
        user=unquote(database.username or ""),
        password=unquote(database.password or ""),
        table_name="orders",
        schema_auto_update=False,
        primary_key_columns="order_id",
        upsert_on_primary_key=True,
        include_metadata=False,
    )
    application.dataframe(application.topic(topic, value_deserializer="json")).sink(orders)
    application.run()


if __name__ == "__main__":
    main()
