"""A class of tests to inherit from: it does to a handler what the sink will do to it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid5

import orjson
import psycopg
import pytest

from inbox.operations.route_tests.encoding import encoder_of
from inbox.reading.options import Format
from inbox.settings.formats import schema_of_any_file
from inbox.testing.launcher import Launcher
from inbox.testing.sink import SinkUnderTest, importable, offer

_NAMESPACE = UUID("6f9619ff-8b86-4011-b42d-00cf4fc964ff")
_STEPS = ("begun", "claimed", "in-handler", "handled", "fenced", "commit-sent", "committed")
_ROUTE = "under-test"

Snapshot = Mapping[str, Sequence[tuple[Any, ...]]]


class HandlerContract:
    """The tests of a handler against what the sink will do to it.

    Inherit from it, name the handler and a few events, and create the tables that the handler needs::

        class TestReserveStock(HandlerContract):
            handler = staticmethod(reserve_stock)
            events = [{"order_id": 1, "sku": "tea", "quantity": 2}]
            schema = "CREATE TABLE ...; INSERT INTO stock ..."

    Attributes:
        handler: a function or class at the top of a module, or the name of an installed handler.
        events: the values, in the order of the topic; a dict or list is written as JSON. All can be applied.
        keys: the keys of the events; without it each event has a key of its own.
        types: the types of the events, in the header `type`; without it they have none.
        format: the format of the route; in Avro and Protobuf the values are written with `schema_file`.
        schema_file: a file with the schema of the values, relative to the working directory.
        message: the full name of the Protobuf message, if it is not the first of the schema.
        schema: SQL that creates what the handler needs; it runs once for each test.
        ignored_columns: columns whose values differ from run to run, such as times of writing. Those that a sequence
            fills are ignored anyway: a rollback does not give its numbers back.
        outbox: whether the handler publishes events.
        seconds: the time that all events together may take.
    """

    handler: ClassVar[Callable[..., Any] | str]
    events: ClassVar[Sequence[Any]]
    keys: ClassVar[Sequence[str] | None] = None
    types: ClassVar[Sequence[str] | None] = None
    format: ClassVar[str] = "json"
    schema_file: ClassVar[str | None] = None
    message: ClassVar[str | None] = None
    schema: ClassVar[str] = ""
    ignored_columns: ClassVar[Collection[str]] = ()
    outbox: ClassVar[bool] = False
    seconds: ClassVar[float] = 30.0

    @pytest.fixture(scope="class")
    @classmethod
    def make(
        cls,
        inbox_servers: Any,
        inbox_databases: Any,
        inbox_launcher: Launcher,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Any]:
        """Provide a function that makes a sink with the handler, in a database of its own."""
        directory = tmp_path_factory.mktemp("contract")
        name, path = cls._offered(directory)
        with ExitStack() as stack:

            def sink(**settings: Any) -> SinkUnderTest:
                url = stack.enter_context(inbox_databases.one())
                if cls.schema:
                    with psycopg.connect(url) as connection:
                        connection.execute(cls.schema.encode())
                made = SinkUnderTest(
                    cls._config(name, settings),
                    bootstrap_servers=inbox_servers.bootstrap_servers,
                    database_url=url,
                    directory=directory / f"sink-{len(list(directory.iterdir()))}",
                    launcher=inbox_launcher,
                    path=path,
                )
                stack.callback(made.close)
                return made

            yield sink

    @pytest.fixture(scope="class")
    @classmethod
    def applied(cls, make: Callable[..., SinkUnderTest]) -> SinkUnderTest:
        """Provide a sink that has applied each event once, undisturbed."""
        sink = make()
        cls._produce(sink)
        cls._settle(sink)
        return sink

    def test_each_event_is_applied(self, applied: SinkUnderTest) -> None:
        """No event of the contract is parked, and nothing is missing."""
        errors = [letter.error for letter in applied.dead_letters()]
        _require(not errors, lambda: f"the handler refused events that it should apply: {errors[0]}")
        _require(applied.audit()["ok"], lambda: "the audit found an offset that is not accounted for")

    def test_an_event_that_its_producer_repeats_takes_effect_once(
        self, applied: SinkUnderTest, make: Callable[..., SinkUnderTest]
    ) -> None:
        """The sink drops the second one, and the handler does not notice."""
        sink = make()
        self._produce(sink)
        self._produce(sink)
        sink.until_settled()
        self._same(sink, applied, "every event was sent twice")

    @pytest.mark.parametrize("step", _STEPS)
    def test_a_kill_at_any_step_changes_nothing(
        self, applied: SinkUnderTest, make: Callable[..., SinkUnderTest], step: str
    ) -> None:
        """A killed transaction is undone, and the next start does its work again."""
        sink = make()
        self._produce(sink)
        sink.kill(at=step)
        sink.until_settled()
        self._same(sink, applied, f"the sink was killed at the step {step!r}")

    def test_alone_or_in_a_batch_an_event_has_the_same_effect(
        self, applied: SinkUnderTest, make: Callable[..., SinkUnderTest]
    ) -> None:
        """The sink decides how many events share a transaction; a handler must not depend on it."""
        sink = make(batch_events=1)
        self._produce(sink)
        sink.until_settled()
        self._same(sink, applied, "each event had a transaction of its own")

    def test_a_poison_neighbour_does_no_harm(self, applied: SinkUnderTest, make: Callable[..., SinkUnderTest]) -> None:
        """An event that cannot be read is parked alone, and its neighbours take effect."""
        sink = make()
        sink.produce(b"\xff\xfe not a document", headers={"type": (self.types or [""])[0]}, event_id=self._id("poison"))
        self._produce(sink)
        sink.until_settled()
        parked = len(sink.dead_letters())
        _require(parked == 1, lambda: f"of a value that is neither JSON nor UTF-8, {parked} dead letters came, not 1")
        self._same(sink, applied, "an event that cannot be read came first")

    def test_a_forced_replay_publishes_the_same_events(self, make: Callable[..., SinkUnderTest]) -> None:
        """A replay applies events again on purpose; what they publish keeps its ids, and is sent once."""
        sink = make()
        self._produce(sink)
        sink.until_settled()
        before = self._published(sink)
        sink.replay(mode="force")
        errors = [letter.error for letter in sink.dead_letters()]
        _require(not errors, lambda: f"a forced replay cannot apply an event again: {errors[0]}")
        same = self._published(sink) == before
        _require(same, lambda: "a replay published other events; publish the same ones, in the same order, each time")

    def test_the_handler_opens_no_connection_of_its_own(self, applied: SinkUnderTest) -> None:
        """The transaction cannot undo the work of another connection, which happens at least once."""
        opened = applied.connections_of_handlers()
        _require(not opened, lambda: f"the handler opened {opened[0]}; use tx, or publish to the outbox")

    def test_the_handler_leaves_the_search_path_alone(self, applied: SinkUnderTest) -> None:
        """Other handlers, and the sink itself, find their tables on it."""
        moved = applied.moved_search_paths()
        _require(not moved, lambda: f"the handler set search_path to {moved[0]}; name the schema of each table instead")

    # What the tests above use.

    @classmethod
    def _settle(cls, sink: SinkUnderTest) -> None:
        try:
            sink.until_settled()
        except AssertionError as error:
            in_time = "cannot be interrupted" not in str(error)
            _require(in_time, lambda: f"the handler is still busy after {cls.seconds:.0f} s; raise `seconds` if it may")
            raise

    @classmethod
    def _offered(cls, directory: Path) -> tuple[str, list[str]]:
        handler = cls.__dict__.get("handler", cls.handler)
        handler = handler.__func__ if isinstance(handler, staticmethod) else handler
        if isinstance(handler, str):
            return handler, []
        return _ROUTE, [str(offer(directory / "offered", _ROUTE, importable(handler)))]

    @classmethod
    def _config(cls, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        route: dict[str, Any] = {"name": _ROUTE, "topic": _ROUTE, "event_id": "header:event_id", "handler": name}
        if cls.types is not None:
            route["event_type"] = "header:type"
        if cls.schema_file is not None:
            route["schema_file"] = str(Path(cls.schema_file).resolve())
        route |= {"format": cls.format, **({"message": cls.message} if cls.message is not None else {})}
        failures = {"attempts": 3, "handler_timeout": f"{max(1, round(cls.seconds))}s"}
        config: dict[str, Any] = {"sink": dict(settings), "routes": [route], "failures": failures}
        return {**config, "outbox": {}} if cls.outbox else config

    @classmethod
    def _produce(cls, sink: SinkUnderTest) -> None:
        for index, value in enumerate(cls._written()):
            headers = {} if cls.types is None else {"type": cls.types[index]}
            key = str(index) if cls.keys is None else cls.keys[index]
            sink.produce(value, key=key, headers=headers, event_id=cls._id(str(index)))

    @classmethod
    def _written(cls) -> Sequence[Any]:
        """Return the values of the events; those in Avro and Protobuf as bytes."""
        if cls.schema_file is None:
            return cls.events
        schema = schema_of_any_file(Path.cwd(), cls.schema_file)
        encode = encoder_of(schema, Format(cls.format), cls.message)
        return [encode(orjson.dumps(value)) if isinstance(value, dict) else value for value in cls.events]

    @classmethod
    def _id(cls, name: str) -> UUID:
        return uuid5(_NAMESPACE, name)

    def _same(self, sink: SinkUnderTest, applied: SinkUnderTest, when: str) -> None:
        expected, found = self._snapshot(applied), self._snapshot(sink)
        differing = [table for table, rows in expected.items() if found[table] != rows]
        _require(not differing, lambda: _differs(differing[0], when))
        _require(self._published(sink) == self._published(applied), lambda: f"the outbox differs where {when}")

    def _snapshot(self, sink: SinkUnderTest) -> Snapshot:
        return {table: self._rows(sink, table) for table in sink.tables()}

    def _rows(self, sink: SinkUnderTest, table: str) -> list[tuple[Any, ...]]:
        ignored = {*self.ignored_columns, *sink.columns_of_sequences(table)}
        rows = [tuple(value for name, value in row.items() if name not in ignored) for row in sink.rows(table)]
        return sorted(rows, key=repr)

    def _published(self, sink: SinkUnderTest) -> list[tuple[Any, ...]]:
        if not self.outbox:
            return []
        rows = sink.rows("inbox.outbox", order_by="event_id")
        return [(row["event_id"], row["topic"], row["type"], row["payload"]) for row in rows]


def _require(holds: bool, sentence: Callable[[], str]) -> None:
    """Fail the test with a sentence alone: a traceback through this module would say nothing about the handler."""
    if not holds:
        pytest.fail(sentence(), pytrace=False)


def _differs(table: str, when: str) -> str:
    return (
        f"the table {table} has other rows where {when}: the effect of the handler depends on more than the event and "
        "its tables (a clock, a random number, a global, a commit of its own); name such columns in ignored_columns"
    )
