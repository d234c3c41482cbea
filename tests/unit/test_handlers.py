"""What a handler is, and how a route finds it."""

import gc
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import inbox
from inbox.errors import StartupError
from inbox.handlers import ENTRY_POINT_GROUP, Transaction, load_handler
from inbox.plugins.entry_points import offered_by
from tests.support.sinks import offer_handlers

MODULE = """
import asyncio
import contextlib
import functools

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

async def coroutine(event, tx):
    pass

def generator(event, tx):
    yield

async def async_generator(event, tx):
    yield

@inbox.handler(batch=True)
async def coroutine_of_batches(events, tx):
    pass

class Shop:
    async def method(self, event, tx):
        pass
    def generator(self, event, tx):
        yield
    @staticmethod
    async def static(event, tx):
        pass

class AsyncCall:
    async def __call__(self, event, tx):
        pass

class GeneratorCall:
    def __call__(self, event, tx):
        yield

async_instance = AsyncCall()
async_method = Shop().method
generator_method = Shop().generator
static_method = Shop.static
partial_coroutine = functools.partial(functools.partial(coroutine), tx=None)
partial_instance = functools.partial(async_instance)
partial_method = functools.partial(Shop().method)
partial_batch = functools.partial(batch)

def none():
    pass

def one(event):
    pass

def three(event, tx, cache):
    pass

class OneCall:
    def __call__(self, event):
        pass

def three_with_a_default(event, tx, cache=None):
    return "three"

def any_number(*arguments):
    return "any"

def injecting(function):
    @functools.wraps(function)
    def call(event, tx):
        return function(event, tx, {})
    return call

@injecting
def injected(event, tx, cache):
    return "injected"

def waited_for(function):
    @functools.wraps(function)
    def call(event, tx):
        return asyncio.run(function(event, tx))
    return call

@waited_for
async def waited(event, tx):
    return "waited"

def decorated(function):
    @functools.wraps(function)
    def call(*arguments):
        return function(*arguments)
    return call

@decorated
async def hidden_coroutine(event, tx):
    pass

@decorated
def hidden_generator(event, tx):
    yield

@decorated
async def hidden_async_generator(event, tx):
    yield

@contextlib.contextmanager
def context(event, tx):
    yield

@contextlib.asynccontextmanager
async def async_context(event, tx):
    yield

class Awaitable:
    def __await__(self):
        yield

def awaitable(event, tx):
    return Awaitable()

def coroutine_of_another(event, tx):
    return coroutine(event, tx)

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
    (tmp_path / "ending.py").write_text("import sys\nsys.exit(0)\n")
    for name in ("shop", "broken", "ending"):
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


def test_a_name_of_a_module_is_no_handler(offer: Offer) -> None:
    offer({"reserve_stock": "shop:plain"})
    assert 'no installed package offers a handler "shop:plain"' in refused("shop:plain")
    assert "shop" not in sys.modules


def test_a_name_far_from_all_is_refused_with_what_there_is(offer: Offer) -> None:
    offer({"reserve_stock": "shop:plain", "bill": "shop:plain"})
    assert "(installed are: bill, reserve_stock)" in refused("xyz")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("broken:h", "cannot be loaded: ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("ending:h", "cannot be loaded: SystemExit: 0"),
        ("shop:nothing", "cannot be loaded: AttributeError: module 'shop' has no attribute 'nothing'"),
        ("shop:Needing", "cannot be loaded: TypeError:"),
        ("shop:text", "is not callable"),
    ],
)
def test_a_handler_that_does_not_load_says_where_it_is_and_why(offer: Offer, target: str, reason: str) -> None:
    offer({"h": target})
    text = refused("h")
    assert text.startswith(f'handler "h" ({target}) {reason}')
    assert text.endswith("; fix its package")


@pytest.mark.parametrize(
    "target",
    [
        "coroutine",
        "coroutine_of_batches",
        "AsyncCall",
        "async_instance",
        "async_method",
        "static_method",
        "partial_coroutine",
        "partial_instance",
        "partial_method",
    ],
)
def test_an_async_handler_is_refused_with_the_way_out(offer: Offer, target: str) -> None:
    offer({"h": f"shop:{target}"})
    assert refused("h") == (
        f'handler "h" (shop:{target}) is an `async def` function, whose call runs nothing; '
        "write it as a plain `def`, and publish what has to wait for another service to the outbox"
    )


@pytest.mark.parametrize("target", ["generator", "async_generator", "generator_method", "GeneratorCall"])
def test_a_generator_function_is_refused_with_the_way_out(offer: Offer, target: str) -> None:
    offer({"h": f"shop:{target}"})
    assert refused("h") == (
        f'handler "h" (shop:{target}) is a generator function (it has a `yield`), whose call runs nothing; '
        "write it as a plain `def`"
    )


@pytest.mark.parametrize("target", ["none", "one", "three", "OneCall"])
def test_a_handler_that_cannot_take_an_event_and_a_transaction_is_refused(offer: Offer, target: str) -> None:
    offer({"h": f"shop:{target}"})
    assert refused("h") == (
        f'handler "h" (shop:{target}) cannot be called with two arguments; write it as `def handler(event, tx)`'
    )


@pytest.mark.parametrize(
    ("target", "answer"),
    [("three_with_a_default", "three"), ("any_number", "any"), ("injected", "injected"), ("waited", "waited")],
)
def test_a_handler_that_runs_when_it_is_called_is_taken_whatever_it_wraps(
    offer: Offer, target: str, answer: str
) -> None:
    offer({"h": f"shop:{target}"})
    assert load_handler("h").call(None, None) == answer  # type: ignore[arg-type]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("hidden_coroutine", "coroutine"),
        ("coroutine_of_another", "coroutine"),
        ("hidden_generator", "generator"),
        ("hidden_async_generator", "async_generator"),
        ("awaitable", "Awaitable"),
        ("context", "_GeneratorContextManager"),
        ("async_context", "_AsyncGeneratorContextManager"),
    ],
)
def test_a_result_that_has_not_run_is_the_handlers_mistake(offer: Offer, target: str, kind: str) -> None:
    offer({"h": f"shop:{target}"})
    with pytest.raises(TypeError, match=f"the handler returned an object of type {kind}, so it did not run"):
        load_handler("h").call(None, None)  # type: ignore[arg-type]
    gc.collect()


def test_a_partial_of_a_handler_that_takes_batches_takes_batches(offer: Offer) -> None:
    offer({"h": "shop:partial_batch"})
    assert load_handler("h").batch


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
    assert offered == {
        "connection",
        "execute",
        "executemany",
        "fetch_all",
        "fetch_one",
        "insert_many",
        "publish",
        "upsert_many",
    }


def test_a_transaction_takes_no_attributes_of_a_handlers_own() -> None:
    """State between events would outlive a rollback."""
    transaction = Transaction.__new__(Transaction)
    with pytest.raises(AttributeError):
        transaction.memory = 1  # type: ignore[attr-defined]


def test_two_packages_that_offer_one_name_are_refused_by_their_names(offer: Offer, tmp_path: Path) -> None:
    offer({"h": "shop:plain"})
    offer_handlers(tmp_path, {"h": "shop:marked"}, package="another-shop")

    said = refused("h")

    assert "another-shop 1.0 (shop:marked)" in said
    assert "handlers-of-a-test 1.0 (shop:plain)" in said


def test_a_name_says_which_package_offers_it(offer: Offer) -> None:
    offer({"h": "shop:plain"})
    assert offered_by(ENTRY_POINT_GROUP, "h") == "handlers-of-a-test 1.0"
    assert offered_by(ENTRY_POINT_GROUP, "absent") == ""
