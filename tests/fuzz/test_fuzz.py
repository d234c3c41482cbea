"""A few seconds of `make fuzz`: nothing but applied events and dead letters, each of them right."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.events import Sent, drawn, kept_seeds
from tests.fuzz.model import Model, Verdict, document
from tests.fuzz.trial import Trial

SEEDS = Path(__file__).parent / "seeds"


@pytest.mark.parametrize("number", [1])
def test_what_nobody_should_send_is_applied_or_parked(
    number: int, bootstrap_servers: str, make_database: Callable[[], str], tmp_path: Path
) -> None:
    trial = Trial(bootstrap_servers, make_database(), tmp_path)
    with trial.running():
        trial.round(kept_seeds(SEEDS), "seed-")
        trial.round(drawn(number, 60, "k-"), "k-")
        trial.audit()


def test_the_same_number_draws_the_same_events() -> None:
    assert drawn(7, 40, "k-") == drawn(7, 40, "k-")
    assert drawn(7, 40, "k-") != drawn(8, 40, "k-")


def test_an_event_is_kept_as_it_is() -> None:
    event = Sent(b"\xff\0", None, (("a", None), ("", b"\x01")), 5)
    assert Sent.from_json(event.as_json()) == event


def test_the_model_follows_a_row_through_its_events() -> None:
    model = Model("k").take(
        [
            Sent(b'{"id":"k1","version":2,"note":"a","number":1.50}'),
            Sent(b'{"id":"k1","version":1,"note":"b","number":"x"}'),
            Sent(b'{"id":"k1","note":1e1000}'),
            Sent(None, b"k1"),
        ]
    )
    assert model.verdicts["facts", 1] is Verdict.UNKNOWN
    assert {place for (_, place), verdict in model.verdicts.items() if verdict is Verdict.PARKED} >= {2}
    assert model.states == {}
    assert model.newest == {"k1": (2, "a")}
    assert model.firsts == {"k1": "a"}
    assert model.facts[0][2] == document(b'{"note":"a","version":2,"id":"k1","number":1.5}')
