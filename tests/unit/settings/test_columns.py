"""The columns of a table route: a source as a text, or a table that says more."""

import re

import pytest

from inbox.store.options import ColumnSource, Reading, TableTarget
from tests.unit.settings.conftest import Load, Refuse


def column(load: Load, small: str, table_route: str, written: str) -> ColumnSource:
    target = load(small + table_route.replace('amount = "/amount"', f"amount = {written}")).routes[1].target
    assert isinstance(target, TableTarget)
    return target.columns["amount"]


@pytest.mark.parametrize(
    ("written", "source"),
    [
        ('"$key:/id"', ColumnSource("$key:/id")),
        ('{ from = "/a" }', ColumnSource("/a")),
        ('{ from = "/a", as = "epoch-us" }', ColumnSource("/a", Reading.EPOCH_US)),
        ('{ from = "$header:at", as = "epoch-s" }', ColumnSource("$header:at", Reading.EPOCH_S)),
        ('{ from = "/a", as = "decimal-bytes", scale = 2 }', ColumnSource("/a", Reading.DECIMAL_BYTES, scale=2)),
        ('{ value = "EU" }', ColumnSource(value="EU")),
        ("{ value = false }", ColumnSource(value=False)),
        ("{ value = 2026-01-31T10:00:00Z }", ColumnSource(value="2026-01-31T10:00:00+00:00")),
        ("{ value = { a = [1, 2026-01-31] } }", ColumnSource(value={"a": [1, "2026-01-31"]})),
        ('{ from = "/a", default = 0 }', ColumnSource("/a", default=0)),
        ('{ from = "/a", required = true }', ColumnSource("/a", required=True)),
        ('{ from = "/a", absent = "default" }', ColumnSource("/a", leaves=True)),
        ('{ from = "/a", absent = "null" }', ColumnSource("/a")),
    ],
)
def test_a_column_is_a_source_or_a_table(
    load: Load, small: str, table_route: str, written: str, source: ColumnSource
) -> None:
    assert column(load, small, table_route, written) == source


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("{ }", "amount (inbox.toml): has neither from nor value"),
        ('{ form = "/a" }', "amount.form (inbox.toml): unknown key; did you mean from?"),
        (
            '{ from = "a" }',
            'amount.from (inbox.toml): expected a JSON pointer such as "/customer/name", or one of $key',
        ),
        ('"a"', 'amount (inbox.toml): expected a JSON pointer such as "/customer/name", or one of'),
        ('{ from = "/a", as = "epoch" }', "amount.as (inbox.toml): expected epoch-s, epoch-ms, epoch-us, "),
        ('{ from = "/a", as = "epoch_ms" }', 'not "epoch_ms"; did you mean epoch-ms?'),
        ('{ from = "/a", as = "decimal-bytes" }', "amount.scale (inbox.toml): missing; decimal-bytes are digits alone"),
        ('{ from = "/a", scale = 2 }', 'amount.scale (inbox.toml): only as = "decimal-bytes" has a scale'),
        ('{ from = "/a", as = "decimal-bytes", scale = 5000 }', "expected a whole number from -1000 to 1000, not 5000"),
        ('{ from = "$timestamp", as = "epoch-ms" }', "amount.as (inbox.toml): $timestamp has a type and a unit of its"),
        (
            '{ from = "/a", value = 5 }',
            "amount.from (inbox.toml): value is there too",
        ),
        ('{ from = "/a", default = 5, required = true }', "amount.required (inbox.toml): there is a default"),
        ('{ from = "/a", required = "yes" }', 'amount.required (inbox.toml): expected true or false, not "yes"'),
        ('{ from = "/a", absent = "keep" }', 'amount.absent (inbox.toml): expected null or default, not "keep"'),
        ('{ from = "$key", absent = "default" }', "amount.absent (inbox.toml): only a member of the value or the row"),
        ('{ from = "/a", absent = "default", default = 1 }', "there is a default for absent members too"),
        ('{ from = "/a", absent = "default", required = true }', "the column is required, so that its member is never"),
        ("{ value = nan }", 'amount.value (inbox.toml): expected a value such as "EU", 5 or true'),
        ("5", "amount (inbox.toml): expected a JSON pointer"),
    ],
)
def test_a_wrong_column_is_one_clear_line(
    refuse: Refuse, small: str, table_route: str, written: str, text: str
) -> None:
    found = refuse(small + table_route.replace('amount = "/amount"', f"amount = {written}"))

    assert text in found
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize(
    ("mode", "column", "text"),
    [
        ("merge", "amount", 'absent (inbox.toml): mode "merge" leaves the column of every absent member as it is'),
        ("newest", "amount", 'absent (inbox.toml): mode "newest" writes whole rows'),
        ("upsert", "order_id", "absent (inbox.toml): the column is in the key"),
    ],
)
def test_a_column_is_left_to_the_table_where_that_can_be(
    refuse: Refuse, small: str, table_route: str, mode: str, column: str, text: str
) -> None:
    route = re.sub(
        rf"^{column} = .*$", f'{column} = {{ from = "/{column}", absent = "default" }}', table_route, flags=re.M
    )
    found = refuse(small + re.sub('mode = "[a-z]+"', f'mode = "{mode}"', route))

    assert text in found
