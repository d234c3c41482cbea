"""What the sink may do to the handler of the inventory."""

from importlib.resources import files

from inventory.handlers import reserve_stock

from inbox.testing import HandlerContract, SinkUnderTest


class TestReserveStock(HandlerContract):
    handler = staticmethod(reserve_stock)
    events = [{"order_id": "O-1", "sku": "tea", "quantity": 2}, {"order_id": "O-2", "sku": "tea", "quantity": 1}]
    schema = "\n".join([files("inventory").joinpath("schema.sql").read_text(), "INSERT INTO stock VALUES ('tea', 100)"])

    def test_the_quantities_are_taken_and_noted(self, applied: SinkUnderTest) -> None:
        assert applied.rows("stock") == [{"sku": "tea", "free": 97}]
        assert sorted(row["quantity"] for row in applied.rows("reservations")) == [1, 2]
