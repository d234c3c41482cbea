"""What the sink may do to each recipe, and what the recipe leaves in the database."""

import tomllib
from decimal import Decimal

import psycopg
from recipes import batches, jobs, orm, publishing

from inbox.testing import HandlerContract, SinkUnderTest


class TestPublishing(HandlerContract):
    handler = staticmethod(publishing.reserve_and_tell)
    events = [{"order_id": "O-1", "sku": "tea", "quantity": 2}, {"order_id": "O-2", "sku": "tea", "quantity": 3}]
    keys = ["tea", "tea"]
    schema = publishing.SCHEMA
    outbox = True

    def test_each_order_is_published_with_its_effect(self, applied: SinkUnderTest) -> None:
        assert applied.rows("stock") == [{"sku": "tea", "free": 5}]
        published = [(row["topic"], row["payload"]) for row in applied.rows("inbox.outbox", order_by="position")]
        expected = [{"order_id": "O-1", "left": 8}, {"order_id": "O-2", "left": 5}]
        assert published == [("reservations", each) for each in expected]


class TestOrm(HandlerContract):
    handler = staticmethod(orm.keep_customer)
    events = [{"customer_id": 1, "name": "Ada"}, {"customer_id": 1, "name": "Ada", "city": "London"}]
    keys = ["1", "1"]
    schema = orm.SCHEMA

    def test_the_last_event_of_a_customer_counts(self, applied: SinkUnderTest) -> None:
        assert applied.rows("customers") == [{"customer_id": 1, "name": "Ada", "city": "London"}]


class TestBatches(HandlerContract):
    handler = staticmethod(batches.count_sold)
    events = [{"sku": "tea", "amount": 9.90}, {"sku": "tea", "amount": "0.10"}]
    schema = batches.SCHEMA

    def test_every_sale_is_a_row(self, applied: SinkUnderTest) -> None:
        amounts = [row["amount"] for row in applied.rows("sales", order_by="amount")]
        assert amounts == [Decimal("0.10"), Decimal("9.90")]


class TestJobs(HandlerContract):
    handler = staticmethod(jobs.queue_mail)
    events = [{"address": "ada@example.com"}, {"address": "bob@example.com"}]
    schema = jobs.SCHEMA

    def test_each_mail_is_sent_once_and_keeps_its_key(self, applied: SinkUnderTest) -> None:
        sent = {}
        url = tomllib.loads(applied.config.read_text())["database"]["url"]
        with psycopg.connect(url, autocommit=True) as connection:
            while jobs.send_next(connection, sent.__setitem__):
                pass
            connection.execute("UPDATE mails SET sent_at = NULL")
        assert sent == {row["event_id"]: row["address"] for row in applied.rows("mails")}
        assert sorted(sent.values()) == ["ada@example.com", "bob@example.com"]
