"""A table of ids and amounts, `public.t`, with its route and its events."""

from tests.support.sink.running import Out

TABLE = "CREATE TABLE t (id int, amount int)"
ROUTE = """
[[routes]]
topic = "TOPIC"
[routes.table]
name = "public.t"
mode = "append"
[routes.table.columns]
id = "/id"
amount = "/amount"
"""


def out(number: int, amount: object = 1) -> Out:
    """Return the event of a row."""
    return Out(number, {"id": number, "amount": amount})
