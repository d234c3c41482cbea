"""Make a worker from settings and the result of its start."""

import secrets
import socket
from dataclasses import replace
from os import getpid

from inbox.bootstrap.settler import SettlerFactory
from inbox.bootstrap.startup import StartupState
from inbox.bootstrap.topics import Explanation
from inbox.bootstrap.tracing.sink import SinkTracing
from inbox.kafka.consumer import GroupConsumer
from inbox.kafka.log.gaps import AT_A_TIME_SECONDS, Gaps
from inbox.kafka.options import DEFAULTS
from inbox.settings import Settings
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.decoder import TopicDecoder
from inbox.sink.guards.time_limit import TimeLimit
from inbox.sink.pace import Pace
from inbox.sink.worker.loop import Worker
from inbox.sink.writer_thread import Writer


def make_worker(
    settings: Settings, ready: StartupState, *, until_end: bool, tracing: SinkTracing | None = None
) -> Worker:
    """Return one member of the group, ready to run. With `tracing` it records its work in spans."""
    owner = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(8)}"
    session_ms = settings.kafka.properties.get("session.timeout.ms", DEFAULTS["session.timeout.ms"][0])
    assignment = Assignment(owner, reclaim_seconds=int(session_ms) / 1000)
    sink = settings.sink
    if (schemas := settings.needed_schemas) is not None:
        schemas.serve_worker()
    decoders = {
        name: TopicDecoder(name, view.topic_id, settings.routes, largest_event=sink.largest_event)
        for name, view in ready.topics.items()
    }
    addresses = [address for view in ready.topics.values() for address in view.addresses()]
    time_limit = TimeLimit(settings.failures.handler_timeout.total_seconds())
    if tracing is not None:
        ready = replace(ready, handlers=tracing.handlers(ready.handlers))
    pace = None if sink.max_events_per_second is None else Pace(sink.max_events_per_second)
    gaps = Gaps(settings.kafka, ready.cluster, once_compacted=sink.once_compacted, at_a_time_seconds=AT_A_TIME_SECONDS)
    return Worker(
        GroupConsumer(settings.kafka, batch_bytes=sink.batch_bytes),
        Writer(SettlerFactory(settings, ready, owner, time_limit, tracing, pace).open),
        assignment,
        BatchAccumulator(
            decoders,
            assignment,
            batch_events=sink.batch_events if pace is None else min(sink.batch_events, pace.batch_events),
            batch_bytes=sink.batch_bytes,
            require_reason=gaps.require_reason,
        ),
        sorted(ready.topics),
        time_limit,
        ends=ready.cluster.stable_ends(addresses) if until_end else None,
        explain=Explanation(settings, ready.cluster).of_halt,
        retries_letters=bool(settings.failures.retry_after),
        pace=pace,
    )
