"""Of several relays one is active, of whichever kind the outbox is."""

import pytest

from tests.integration.relay.conftest import MakeStage, Stage, relaying
from tests.support.relay.external_table import MakeExistingStage, make_existing_stage  # noqa: F401 - a fixture
from tests.support.waiting import eventually, taking_at_most


@pytest.fixture(name="stage", params=["own", "existing"])
def stage_(
    request: pytest.FixtureRequest,
    make_stage: MakeStage,
    make_existing_stage: MakeExistingStage,  # noqa: F811
) -> Stage:
    return make_stage() if request.param == "own" else make_existing_stage()


def test_one_of_two_is_active_and_the_other_takes_over_at_once_from_one_that_ends(stage: Stage) -> None:
    with relaying(stage) as second:
        with relaying(stage) as first:
            eventually(lambda: first.progress.joined and second.progress.joined, what="two relays")
            assert {first.progress.active, second.progress.active} == {True, False}
            stage.publish("1")
            stage.all_sent()
        with taking_at_most(10):
            eventually(lambda: second.progress.active, what="the other one active")
        stage.publish("2")
        stage.all_sent()

    assert stage.values() == ["1", "2"]


def test_a_relay_whose_place_was_taken_records_nothing_and_becomes_a_standby(stage: Stage) -> None:
    with relaying(stage) as relay:
        eventually(lambda: relay.progress.active, what="an active relay")
        stage.set_lease("epoch = epoch + 1, holder = 'another', expires_at = now() + interval '1 hour'")
        stage.publish("1")
        eventually(lambda: not relay.progress.active, what="a standby")
        assert stage.unsent() == 1
        stage.set_lease("expires_at = now()")
        stage.all_sent()

    assert set(stage.values()) == {"1"}
