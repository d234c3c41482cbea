"""The inventory's own tables: `python -m inventory.tables` makes them in the database of `./inbox.toml`."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg

FREE_AT_FIRST = 100_000
SKUS = tuple(f"sku-{number:02}" for number in range(1, 13))


def create_tables(connection: psycopg.Connection[Any]) -> None:
    """Makes the tables in the first schema of the search path, with 100,000 free pieces of each article."""
    connection.execute(files("inventory").joinpath("schema.sql").read_bytes())
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO stock (sku, free) VALUES (%s, %s)", [(sku, FREE_AT_FIRST) for sku in SKUS])


def free_stock(connection: psycopg.Connection[Any]) -> Mapping[str, int]:
    """How many pieces of each article are free."""
    return dict(connection.execute("SELECT sku, free FROM stock ORDER BY sku").fetchall())


def main() -> None:
    """Makes the tables where the sink will write."""
    settings = tomllib.loads(Path("inbox.toml").read_text())
    with psycopg.connect(settings["database"]["url"]) as connection:
        create_tables(connection)
    print(f"{len(SKUS)} articles, {FREE_AT_FIRST} free pieces of each")


if __name__ == "__main__":
    main()
