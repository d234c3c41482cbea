"""What a handler is, and how a route finds it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import inbox
from inbox.errors import StartupError
from inbox.handlers import Transaction, load_handler
from tests.sinks import offer_handlers

MODULE = """
import inbox

def plain(event, tx):
    return "plain"

@inbox.handler
def marked(event, tx):
    return "marked"

@inbox.handler(batch=True)
def batch(events, tx):
    return "batch"

class Counting:
    def __init__(self):
        self.calls = 0
    def __call__(self, event, tx):
        self.calls += 1
        return self.calls

@inbox.handler(batch=True)
class Batches:
    def __call__(self, events, tx):
        return "batches"

class Needing:
    def __init__(self, pool):
        self.pool = pool

text = "no function"
instance = Counting()
"""

Offer = Callable[[Mapping[str, str]], None]


@pytest.fixture(name="offer")
def offer_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Makes names of the entry-point group look installed; `shop` is MODULE, `broken` cannot be imported."""
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("shop", "broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def offer(handlers: Mapping[str, str]) -> None:
        offer_handlers(tmp_path, handlers)

    return offer


def refused(name: str) -> str:
    with pytest.raises(StartupError) as error:
        load_handler(name)
    return str(error.value)


@pytest.mark.parametrize("name", ["plain", "marked"])
def test_a_function_is_a_handler_with_or_without_the_mark(offer: Offer, name: str) -> None:
    offer({"h": f"shop:{name}"})
    loaded = load_handler("h")
    assert (loaded.name, loaded.batch) == ("h", False)
    assert loaded.call(None, None) == name  # type: ignore[arg-type]


def test_a_handler_that_takes_batches_says_so(offer: Offer) -> None:
    offer({"h": "shop:batch"})
    assert load_handler("h").batch


def test_a_class_is_made_once_and_its_instance_called(offer: Offer) -> None:
    offer({"h": "shop:Counting"})
    call: Callable[..., object] = load_handler("h").call
    assert [call(None, None), call(None, None)] == [1, 2]


def test_a_class_may_take_batches(offer: Offer) -> None:
    offer({"h": "shop:Batches"})
    assert load_handler("h").batch


def test_an_instance_is_called_as_it_is(offer: Offer) -> None:
    offer({"h": "shop:instance"})
    call: Callable[..., object] = load_handler("h").call
    assert call(None, None) == 1


def test_a_name_that_nobody_offers_is_refused_with_the_nearest(offer: Offer) -> None:
    offer({"reserve_stock": "shop:plain", "other": "shop:plain"})
    assert refused("reserve_stok") == (
        'no installed package offers a handler "reserve_stok" in the entry-point group inbox.handlers '
        '(did you mean "reserve_stock"?); install the package, or correct the route\'s handler'
    )


def test_a_name_far_from_all_is_refused_with_what_there_is(offer: Offer) -> None:
    offer({"reserve_stock": "shop:plain", "bill": "shop:plain"})
    assert "(installed are: bill, reserve_stock)" in refused("xyz")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("broken:h", "cannot be loaded: ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("shop:none", "cannot be loaded: AttributeError: module 'shop' has no attribute 'none'"),
        ("shop:Needing", "cannot be loaded: TypeError:"),
        ("shop:text", "is not callable"),
    ],
)
def test_a_handler_that_does_not_load_says_where_it_is_and_why(offer: Offer, target: str, reason: str) -> None:
    offer({"h": target})
    text = refused("h")
    assert text.startswith(f'handler "h" ({target}) {reason}')
    assert text.endswith("; mend its package")


def test_an_entry_point_that_no_route_names_is_never_imported(offer: Offer) -> None:
    offer({"h": "shop:plain", "other": "broken:h"})
    load_handler("h")
    assert "broken" not in sys.modules


def test_marking_returns_the_very_function() -> None:
    def handle(event: object, tx: object) -> None: ...

    assert inbox.handler(handle) is handle
    assert inbox.handler(batch=True)(handle) is handle


def test_a_transaction_offers_nothing_that_ends_it() -> None:
    offered = {name for name in dir(Transaction) if not name.startswith("_")}
    assert offered == {"connection", "execute", "executemany", "fetch_all", "fetch_one", "publish"}


def test_a_transaction_takes_no_attributes_of_a_handlers_own() -> None:
    """State between events would outlive a rollback."""
    transaction = Transaction.__new__(Transaction)
    with pytest.raises(AttributeError):
        transaction.memory = 1  # type: ignore[attr-defined]
