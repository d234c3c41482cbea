"""What a table route may say about columns that are filled by their names."""

from collections.abc import Callable

import pytest

from inbox.settings import Settings
from inbox.store.options import ColumnSource, TableTarget

Load = Callable[..., Settings]
Refuse = Callable[..., str]

ROUTE = """
[[routes]]
topic = "orders"
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["order_id"]
columns_by_name = true
"""
EXCEPTIONS = """
[routes.table.columns]
customer = "/customer/name"
inserted_at = { skip = true }
"""


def test_columns_by_name_need_no_list(load: Load, small: str) -> None:
    target = load(small + ROUTE).routes[1].target

    assert isinstance(target, TableTarget)
    assert (target.by_name, target.columns, target.key) == (True, {}, ("order_id",))


def test_exceptions_are_listed(load: Load, small: str) -> None:
    target = load(small + ROUTE + EXCEPTIONS).routes[1].target

    assert isinstance(target, TableTarget)
    assert target.columns == {"customer": ColumnSource("/customer/name")}
    assert target.skipped == {"inserted_at"}


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("columns_by_name = true\n", "", "columns.inserted_at.skip", "only columns_by_name fills a column"),
        ("skip = true", 'skip = true, from = "/x"', "columns.inserted_at.skip", "keep it alone"),
        ('["order_id"]', '["inserted_at"]', "key", "is skipped under columns"),
        ('topic = "orders"', 'topic = "orders"\nformat = "raw"', "columns_by_name", "leaves undecoded"),
    ],
)
def test_what_cannot_work_by_name_is_refused(
    refuse: Refuse, small: str, old: str, new: str, place: str, said: str
) -> None:
    text = refuse(small + (ROUTE + EXCEPTIONS).replace(old, new, 1))

    assert f"routes[1].table.{place} (inbox.toml): " in text
    assert said in text
