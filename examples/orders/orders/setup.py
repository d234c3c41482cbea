"""`python -m orders.setup`: the databases of `./orders.toml` and `./inventory.toml`, their tables, and the topic."""

import psycopg
from inventory.orders import create_topic
from inventory.tables import create_tables
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from orders.models import Base, Customer
from orders.placing import TOPIC
from orders.settings import Addresses, read

CUSTOMERS = tuple(f"customer-{number}" for number in range(1, 9))
CREDIT = 1_000_000
SMALL_CREDIT = 100


def create_database(addresses: Addresses) -> None:
    with psycopg.connect(addresses.server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(addresses.database)))


def create_customers(sqlalchemy_url: str) -> None:
    """Makes the order service's tables, with eight customers, of whom the last has little credit."""
    engine = create_engine(sqlalchemy_url)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(Customer(name=name, credit=CREDIT) for name in CUSTOMERS[:-1])
        session.add(Customer(name=CUSTOMERS[-1], credit=SMALL_CREDIT))
    engine.dispose()


def main() -> None:
    """Makes everything that is not the inbox's own; that `inbox migrate` makes."""
    orders, inventory = read("orders.toml"), read("inventory.toml")
    create_database(orders)
    create_customers(orders.sqlalchemy_url)
    create_database(inventory)
    with psycopg.connect(inventory.database_url) as connection:
        create_tables(connection)
    create_topic(orders.bootstrap_servers, TOPIC)
    print(f"databases {orders.database} and {inventory.database}, topic {TOPIC}, {len(CUSTOMERS)} customers")


if __name__ == "__main__":
    main()
