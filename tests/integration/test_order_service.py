"""examples/orders: an order and its event, both or neither."""

import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from orders.service import make_service
from orders.setup import CUSTOMERS, SMALL_CREDIT, create_customers
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, text

from inbox.dev.ports import LOOPBACK, free_port
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.schema.migrate import migrate
from tests.support.waiting import eventually


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    migrate(DatabaseOptions(url=SecretStr(database_url)), outbox=OutboxOptions())
    create_customers(url)
    made = create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    """A client of the service, over HTTP."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(make_service(engine), port=port, ws="none", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started, what="the start of the service")
    with httpx.Client(base_url=f"http://{LOOPBACK}:{port}") as opened:
        yield opened
    server.should_exit = True
    thread.join()


def order(quantity: int = 2, customer: str = CUSTOMERS[0]) -> dict[str, object]:
    return {"customer": customer, "sku": "sku-01", "quantity": quantity}


def found(engine: Engine) -> tuple[list[str], list[tuple[str, str, str]]]:
    """The orders' ids; of the outbox topic, key and payload."""
    with engine.connect() as connection:
        orders = connection.execute(text("SELECT order_id FROM orders ORDER BY 1")).scalars().all()
        events = connection.execute(text("SELECT topic, aggregate_id, payload::text FROM inbox.outbox")).all()
    return list(orders), [tuple(event) for event in events]


def test_an_order_commits_with_its_event(client: httpx.Client, engine: Engine) -> None:
    assert client.put("/orders/O-1", json=order()).status_code == 201
    payload = '{"order_id":"O-1","sku":"sku-01","quantity":2}'
    assert found(engine) == (["O-1"], [("order.events", "O-1", payload)])


def test_who_asks_again_is_told_that_it_was_placed(client: httpx.Client, engine: Engine) -> None:
    answers = [client.put("/orders/O-1", json=order()).status_code for _ in range(3)]
    orders, events = found(engine)
    assert (answers, orders, len(events)) == ([201, 200, 200], ["O-1"], 1)
    with engine.connect() as connection:
        credit = connection.execute(text("SELECT max(credit) - min(credit) FROM customers WHERE credit > 1000"))
        assert credit.scalar() == 2


def test_an_order_beyond_the_credit_leaves_no_event(client: httpx.Client, engine: Engine) -> None:
    answer = client.put("/orders/O-1", json=order(SMALL_CREDIT + 1, CUSTOMERS[-1]))
    assert (answer.status_code, found(engine)) == (409, ([], []))


@pytest.mark.parametrize("request_", [order(0), {"customer": "customer-1"}])
def test_what_is_no_order_is_refused(client: httpx.Client, engine: Engine, request_: dict[str, object]) -> None:
    assert client.put("/orders/O-1", json=request_).status_code == 422
    assert found(engine) == ([], [])
