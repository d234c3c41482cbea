"""What the sink may do to the handler, and what the handler does to the database."""

from decimal import Decimal
from importlib.resources import files

import psycopg

from inbox.testing import HandlerContract
from ${module}.handlers import ${module}

SCHEMA = files("${module}").joinpath("schema.sql").read_text()
ROUTE = {"topic": "orders", "event_id": "header:event_id", "handler": "${module}"}


class Test${kind}(HandlerContract):
    handler = staticmethod(${module})
    events = [{"order_id": "O-1", "amount": "9.90"}, {"order_id": "O-2", "amount": 3}]
    schema = SCHEMA


def test_an_order_is_kept_and_a_negative_one_is_parked(inbox_sink, inbox_database):
    with psycopg.connect(inbox_database) as connection:
        connection.execute(SCHEMA)
    sink = inbox_sink({"routes": [ROUTE]})
    sink.produce({"order_id": "O-1", "amount": "9.90"})
    sink.produce({"order_id": "O-2", "amount": -1})
    sink.produce({"order_id": "O-3"})
    sink.until_settled()
    assert [(row["order_id"], row["amount"]) for row in sink.rows("${module}")] == [("O-1", Decimal("9.90"))]
    errors = [letter.error for letter in sink.dead_letters()]
    assert "the amount of an order is not negative" in errors[0]
    assert errors[1] == "the value does not fit ${kind}Event: /amount: missing"
