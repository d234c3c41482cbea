"""What a table route may say about columns that are filled by their names."""

from collections.abc import Callable

import pytest

from inbox.settings import Settings
from inbox.store.options import ColumnSource, TableTarget, UnknownMembers

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
        (
            'topic = "orders"\n[routes.table]',
            'topic = "orders"\nformat = "raw"\n[routes.table]\nunknown_members = "count"',
            "unknown_members",
            "leaves undecoded",
        ),
    ],
)
def test_what_cannot_work_by_name_is_refused(
    refuse: Refuse, small: str, old: str, new: str, place: str, said: str
) -> None:
    text = refuse(small + (ROUTE + EXCEPTIONS).replace(old, new, 1))

    assert f"routes[1].table.{place} (inbox.toml): " in text
    assert said in text


def test_unknown_members_are_ignored_by_default(load: Load, small: str) -> None:
    target = load(small + ROUTE).routes[1].target

    assert isinstance(target, TableTarget)
    assert target.unknown_members is UnknownMembers.IGNORE


def test_members_from_which_something_else_is_read_are_known(load: Load, small: str) -> None:
    rules = 'event_id = "value:/meta/id"\nevent_type = "value:/a~1b"\nwhen = \'value.kind == "x" && value["k"] > 1\''
    target = load(small + ROUTE.replace('topic = "orders"', f'topic = "orders"\n{rules}')).routes[1].target

    assert isinstance(target, TableTarget)
    assert target.read_members == {"meta", "a/b", "kind", "k"}
