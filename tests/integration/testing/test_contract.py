"""`HandlerContract` as a user runs it: pytest in a process of its own, on the servers that the environment names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inbox.dev.backends import Servers
from inbox.testing import HandlerContract

ROOT = Path(__file__).parents[3]
TESTS = """
from inbox.testing import HandlerContract
from tests.integration.testing import wrong_handlers


class TestHandler(HandlerContract):
    handler = staticmethod(wrong_handlers.{handler})
    events = [{{"order_id": 1}}, {{"order_id": 2}}]
    schema = '''
        CREATE TABLE effects (effect_id bigserial PRIMARY KEY, order_id integer, note text);
        CREATE TABLE singles (order_id integer PRIMARY KEY);
    '''
    outbox = {outbox}
    {more}
"""
TYPED = """
    format = "avro"
    schema_file = "order.avsc"
    events = [{"order_id": 1, "price": "9.90", "at": "2026-01-01T10:00:00.000005Z"}]
"""
ORDER = """{"type": "record", "name": "Order", "fields": [
    {"name": "order_id", "type": "long"},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}
]}"""
MORE = {"takes_too_long": "seconds = 1", "typed": TYPED}
# The test that sees it, and a part of the sentence that names the fault.
CAUGHT = {
    "commits": ("each_event_is_applied", "refused events that it should apply"),
    "reads_the_clock": ("a_kill_at_any_step_changes_nothing and claimed", "the table public.effects has other rows"),
    "draws_a_number": ("alone_or_in_a_batch", "the effect of the handler depends on more than the event"),
    "counts_in_a_global": ("alone_or_in_a_batch", "the effect of the handler depends on more than the event"),
    "knows_its_batch": ("alone_or_in_a_batch", "where each event had a transaction of its own"),
    "connects_by_itself": ("no_connection_of_its_own", "a connection of its own to PostgreSQL; use tx"),
    "calls_a_service": ("no_connection_of_its_own", "a socket to 127.0.0.1:1; use tx, or publish"),
    "opens_a_socket": ("no_connection_of_its_own", "a socket to 127.0.0.1:1; use tx, or publish"),
    "inserts_only_once": ("a_forced_replay", "a forced replay cannot apply an event again"),
    "swallows_what_it_cannot_read": ("a_poison_neighbour", "neither JSON nor UTF-8, 0 dead letters"),
    "moves_the_search_path": ("leaves_the_search_path", "the handler set search_path to pg_temp; name the schema"),
    "takes_too_long": ("each_event_is_applied", "HandlerTimeoutError"),
    "publishes_at_random": ("a_kill_at_any_step_changes_nothing and claimed", "the outbox differs where"),
}


def contract(servers: Servers, directory: Path, handler: str, *, only: str = "") -> subprocess.CompletedProcess[str]:
    """Run the contract for a handler in pytest."""
    (directory / "test_handler.py").write_text(
        TESTS.format(handler=handler, outbox=handler == "publishes_at_random", more=MORE.get(handler, ""))
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("INBOX_", "PYTEST_"))}
    environ |= {"INBOX_TEST_KAFKA": servers.bootstrap_servers, "INBOX_TEST_DATABASE": servers.database_url}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *(["-k", only] if only else []), str(directory)],
        cwd=directory,
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=540,
    )


@pytest.mark.long
def test_a_handler_that_keeps_to_its_transaction_passes(servers: Servers, tmp_path: Path) -> None:
    # Of the kills two, one on each side of the COMMIT: `tests.e2e.test_sigkill` has every step.
    done = contract(servers, tmp_path, "right", only="not a_kill_at_any_step or claimed or committed")
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout


def test_a_typed_handler_takes_events_in_avro(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "order.avsc").write_text(ORDER)
    done = contract(servers, tmp_path, "typed", only="each_event or poison or (a_kill and claimed)")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_a_handler_that_never_ends_is_named() -> None:
    class Stopped:
        def until_settled(self) -> None:
            raise AssertionError("inbox run ended with 1: a handler is still busy and cannot be interrupted")

    with pytest.raises(pytest.fail.Exception, match="the handler is still busy after 30 s"):
        HandlerContract._settle(Stopped())  # type: ignore[arg-type]


@pytest.mark.parametrize("handler", CAUGHT)
def test_a_wrong_handler_is_named_by_one_sentence(servers: Servers, tmp_path: Path, handler: str) -> None:
    only, sentence = CAUGHT[handler]
    done = contract(servers, tmp_path, handler, only=only)
    assert done.returncode == 1, done.stdout
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout
