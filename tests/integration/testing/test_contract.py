"""`HandlerContract` as a user runs it: pytest in a process of its own, on the servers that the environment names."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from inbox.dev.backends import Servers
from inbox.testing import HandlerContract

ROOT = Path(__file__).parents[3]
TESTS = """
from inbox.testing import HandlerContract
from tests.integration.testing import wrong_handlers


class Test_{handler}(HandlerContract):
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
    "reads_the_clock": ("a_kill_at_any_step_changes_nothing[claimed]", "the table public.effects has other rows"),
    "draws_a_number": (
        "alone_or_in_a_batch_an_event_has_the_same_effect",
        "the effect of the handler depends on more than the event",
    ),
    "counts_in_a_global": (
        "alone_or_in_a_batch_an_event_has_the_same_effect",
        "the effect of the handler depends on more than the event",
    ),
    "knows_its_batch": (
        "alone_or_in_a_batch_an_event_has_the_same_effect",
        "where each event had a transaction of its own",
    ),
    "connects_by_itself": (
        "the_handler_opens_no_connection_of_its_own",
        "a connection of its own to PostgreSQL; use tx",
    ),
    "calls_a_service": ("the_handler_opens_no_connection_of_its_own", "a socket to 127.0.0.1:1; use tx, or publish"),
    "opens_a_socket": ("the_handler_opens_no_connection_of_its_own", "a socket to 127.0.0.1:1; use tx, or publish"),
    "inserts_only_once": ("a_forced_replay_publishes_the_same_events", "a forced replay cannot apply an event again"),
    "swallows_what_it_cannot_read": ("a_poison_neighbour_does_no_harm", "neither JSON nor UTF-8, 0 dead letters"),
    "moves_the_search_path": (
        "the_handler_leaves_the_search_path_alone",
        "the handler set search_path to pg_temp; name the schema",
    ),
    "takes_too_long": ("each_event_is_applied", "HandlerTimeoutError"),
    "publishes_at_random": ("a_kill_at_any_step_changes_nothing[claimed]", "the outbox differs where"),
}


# The first line of what pytest reports about a test that failed.
FAILED = re.compile(r"^_+ .*\bTest_(\w+)\.test_.* _+$", re.MULTILINE)


def write_tests(directory: Path, handler: str) -> Path:
    """Write the tests of a handler, and return their module."""
    module = directory / f"test_{handler}.py"
    module.write_text(
        TESTS.format(handler=handler, outbox=handler == "publishes_at_random", more=MORE.get(handler, ""))
    )
    return module


def run_pytest(servers: Servers, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in the directory."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("INBOX_", "PYTEST_"))}
    environ |= {"INBOX_TEST_KAFKA": servers.bootstrap_servers, "INBOX_TEST_DATABASE": servers.database_url}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=540,
    )


@pytest.mark.long
def test_a_handler_that_keeps_to_its_transaction_passes(servers: Servers, tmp_path: Path) -> None:
    # Of the kills two, one on each side of the COMMIT: `tests.e2e.test_sigkill` has every step.
    module = write_tests(tmp_path, "right")
    done = run_pytest(servers, tmp_path, "-k", "not a_kill_at_any_step or claimed or committed", str(module))
    assert done.returncode == 0, done.stdout
    assert "9 passed" in done.stdout


def test_a_typed_handler_takes_events_in_avro(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "order.avsc").write_text(ORDER)
    module = write_tests(tmp_path, "typed")
    done = run_pytest(servers, tmp_path, "-k", "each_event or poison or (a_kill and claimed)", str(module))
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_a_handler_that_never_ends_is_named() -> None:
    class Stopped:
        def until_settled(self) -> None:
            raise AssertionError("inbox run ended with 1: a handler is still busy and cannot be interrupted")

    with pytest.raises(pytest.fail.Exception, match="the handler is still busy after 30 s"):
        HandlerContract._settle(Stopped())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def reports(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What pytest reports about each wrong handler, from one run for all: its start is most of what a test costs."""
    directory = tmp_path_factory.mktemp("wrong")
    tests = [
        f"{write_tests(directory, handler)}::Test_{handler}::test_{only}"
        for handler, (only, _sentence) in CAUGHT.items()
    ]
    done = run_pytest(servers, directory, "-rN", *tests)
    assert done.returncode == 1, done.stdout + done.stderr
    found = FAILED.split(done.stdout)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


@pytest.mark.long(seconds=100)
@pytest.mark.parametrize("handler", CAUGHT)
def test_a_wrong_handler_is_named_by_one_sentence(reports: Mapping[str, str], handler: str) -> None:
    _, sentence = CAUGHT[handler]
    assert sentence in reports[handler]
    assert "Traceback" not in reports[handler]
