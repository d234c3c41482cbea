"""What a table route may say about the elements of an array."""

from collections.abc import Callable

import pytest

from inbox.settings import Settings
from inbox.store.options import TableTarget, Tombstones

Load = Callable[..., Settings]
Refuse = Callable[..., str]

ROUTE = """
[[routes]]
topic = "orders"
[routes.table]
name = "public.lines"
mode = "upsert"
key = ["order_id", "line"]
for_each = "/lines"
replaces = ["order_id"]
[routes.table.columns]
order_id = "$event:/order_id"
line = "/number"
position = "$index"
"""


def test_elements_and_what_they_replace(load: Load, small: str) -> None:
    target = load(small + ROUTE).routes[1].target

    assert isinstance(target, TableTarget)
    assert (target.for_each, target.replaces) == ("/lines", ("order_id",))


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ('for_each = "/lines"\n', "", "replaces", "has an effect only with for_each"),
        ('for_each = "/lines"\nreplaces = ["order_id"]\n', "", "columns.order_id", "is there only with for_each"),
        ('for_each = "/lines"', 'for_each = "lines"', "for_each", 'a JSON pointer starts with "/"'),
        ('replaces = ["order_id"]', 'tombstones = "delete"', "tombstones", "a tombstone names no row"),
        (
            'replaces = ["order_id"]',
            'tombstones = "mark"\ndeleted = "gone"',
            "tombstones",
            "a tombstone names no row",
        ),
        ('"upsert"', '"newest"\nversion = "position"', "replaces", "which an older event that comes late would delete"),
        ('replaces = ["order_id"]', "replaces = []", "replaces", "is empty"),
        ('replaces = ["order_id"]', 'replaces = ["position"]', "replaces", "is not in the key"),
        ('"$event:/order_id"', '"/order_id"', "replaces", 'read it from the whole event: "$event:/order_id"'),
    ],
)
def test_what_cannot_work_with_elements_is_refused(
    refuse: Refuse, small: str, old: str, new: str, place: str, said: str
) -> None:
    text = refuse(small + ROUTE.replace(old, new, 1))

    assert f"routes[1].table.{place} (inbox.toml): " in text
    assert said in text


def test_raw_values_have_no_elements(refuse: Refuse, small: str) -> None:
    text = refuse(small + ROUTE.replace('"orders"', '"orders"\nformat = "raw"', 1))

    assert 'routes[1].table.for_each (inbox.toml): looks into the value, which format "raw" leaves undecoded' in text


@pytest.mark.parametrize(("replaces", "deletes"), [(True, Tombstones.DELETE), (False, Tombstones.ERROR)])
def test_a_delete_of_debezium_deletes_where_it_names_the_rows(
    load: Load, small: str, replaces: bool, deletes: Tombstones
) -> None:
    route = ROUTE.replace('"orders"', '"orders"\nenvelope = "debezium"\nevent_id = "debezium"', 1)
    target = load(small + (route if replaces else route.replace('replaces = ["order_id"]', ""))).routes[1].target

    assert isinstance(target, TableTarget)
    assert target.tombstones is deletes


@pytest.mark.parametrize("format_", ["connect-json", "avro"])
def test_elements_of_decoded_values_are_found_by_the_database(load: Load, small: str, format_: str) -> None:
    route = ROUTE.replace('"orders"', f'"orders"\nformat = "{format_}"', 1)
    found = load(small + '[registry]\nurl = "http://localhost"\n' + route).routes[1]

    assert isinstance(found.target, TableTarget)
    assert (found.format.as_documents, found.target.decoded, found.target.binary) == (True, False, False)
