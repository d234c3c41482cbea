"""Processes that share the tests of a run have the same servers, and keep tests of a group together."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from inbox.dev.backends import Servers
from inbox.errors import StartupError
from tests import conftest
from tests.support import ground
from tests.support.ground import Ground, Keeper, ground_of, tell_groups


def say(text: str) -> None:
    """Nobody waits for it."""


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    made = Keeper(say)
    yield made
    made.close()


def test_whoever_asks_is_given_the_same_servers_of_one_start(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, happened = Keeper(say), list[str]()

    @contextmanager
    def laid(_: Any) -> Iterator[Ground]:
        happened.append("started")
        yield Ground(Servers("kafka:9092", "postgresql://db", "servers"), "template")
        happened.append("ended")

    monkeypatch.setattr(ground, "laid", laid)
    assert happened == []
    assert ground_of(keeper.address) == ground_of(keeper.address)
    assert happened == ["started"]
    keeper.close()
    assert happened == ["started", "ended"]


def test_servers_that_cannot_be_had_are_missing_for_everybody(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    def laid(_: Any) -> None:
        raise StartupError("there is no Kafka")

    monkeypatch.setattr(ground, "laid", laid)
    for _ in range(2):
        with pytest.raises(StartupError, match="there is no Kafka"):
            ground_of(keeper.address)


def test_tests_of_a_group_are_handed_out_together_and_others_one_by_one(keeper: Keeper) -> None:
    tell_groups(keeper.address, {"a.py::one": "heavy", "b.py::two": "heavy"})
    config: Any = SimpleNamespace(stash={conftest.KEEPER: keeper})
    scheduler = conftest.Groups.__new__(conftest.Groups)
    scheduler.config = config
    assert [scheduler._split_scope(each) for each in ("a.py::one", "b.py::two", "b.py::three")] == [
        "heavy",
        "heavy",
        "b.py::three",
    ]
