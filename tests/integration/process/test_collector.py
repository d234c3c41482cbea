"""What a sink and a relay send to a real collector of OpenTelemetry, built from its Go modules."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from inbox.dev.backends import Servers
from inbox.dev.ports import free_port
from tests.chart import tools
from tests.conftest import MakeTopic
from tests.e2e.launcher import environment
from tests.support.kafka_topics import produce
from tests.support.sinks import write_configuration
from tests.support.waiting import eventually

BUILD_SECONDS = 1500
CONFIGURATION = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:%d"}}}}
exporters: {debug: {verbosity: detailed}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
"""
ROUTE = """
[[routes]]
topic = "{topic}"
event_id = "coordinates"
[routes.table]
name = "public.orders"
mode = "append"
[routes.table.columns]
order_id = "/order_id"
"""

pytestmark = pytest.mark.timeout(BUILD_SECONDS)


class Collector:
    """A collector in a process of its own, which writes what it receives to a file."""

    def __init__(self, program: Path, directory: Path) -> None:
        port = free_port()
        self.url, self._log = f"http://127.0.0.1:{port}", directory / "collector.log"
        (directory / "collector.yaml").write_text(CONFIGURATION % port)
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [program, "--config", str(directory / "collector.yaml")], stdout=log, stderr=log
            )
        eventually(lambda: "Everything is ready" in self.received() or self.process.poll(), what="the collector")

    def received(self) -> str:
        return self._log.read_text()


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    if (reason := tools.why_not(tools.COLLECTOR)) is not None:
        pytest.skip(reason)
    if not os.environ.get("INBOX_TEST_BUILD_COLLECTOR") and not tools.is_built(
        tools.COLLECTOR_PACKAGES, tools.COLLECTOR
    ):
        pytest.skip("the collector was not built, which takes minutes; `make collector` does")
    made = Collector(tools.build(tools.COLLECTOR_PACKAGES, tools.COLLECTOR)["collector"], tmp_path)
    yield made
    made.process.terminate()
    made.process.wait(60)


@pytest.fixture
def run(
    collector: Collector, tmp_path: Path, servers: Servers, database_url: str, make_topic: MakeTopic
) -> Callable[..., str]:
    """Runs commands, with more lines in `inbox.toml`, on a topic with one order, and returns the topic."""
    topic = make_topic()
    produce(servers.bootstrap_servers, topic, [json.dumps({"order_id": 1}).encode()])
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE public.orders (order_id bigint)")
    sends = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_METRICS_EXPORTER": "otlp"}

    def run_all(*commands: str, rest: str = "") -> str:
        config = write_configuration(
            tmp_path / "inbox.toml",
            database_url=database_url,
            bootstrap_servers=servers.bootstrap_servers,
            routes=ROUTE.format(topic=topic),
            name=topic,
            rest=rest,
        )
        for command in commands:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "inbox", *command.split(), "--config", str(config)],
                capture_output=True,
                text=True,
                timeout=300,
                env=environment(None, OTEL_SERVICE_NAME="a-sink", **sends),
            )
            assert done.returncode == 0, done.stdout + done.stderr
        return topic

    return run_all


def test_a_collector_takes_the_spans_and_the_metrics_of_a_sink(collector: Collector, run: Callable[..., str]) -> None:
    topic = run("run --until-end")
    received = collector.received()
    for line in (
        "service.name: Str(a-sink)",
        f"Name           : settle {topic}",
        "Kind           : Consumer",
        f"messaging.consumer.group.name: Str({topic})",
        "messaging.operation.type: Str(process)",
        "messaging.destination.partition.id: Str(0)",
        "Name: inbox_events",
        "Name: inbox_build_info",
        "Name: inbox_batch_seconds",
        "DataType: Histogram",
        "AggregationTemporality: Cumulative",
        "route: Str(public.orders)",
        "ending: Str(applied)",
    ):
        assert line in received, line


def test_a_collector_takes_the_spans_of_a_relay(
    collector: Collector, run: Callable[..., str], database_url: str, make_topic: MakeTopic
) -> None:
    run("migrate", rest="[outbox]")
    topic = make_topic()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload, traceparent)"
            " VALUES (gen_random_uuid(), %s, 'a', 'T', '{}', %s)",
            (topic, f"00-{7:032x}-{9:016x}-01"),
        )
    run("relay --until-empty", rest="[outbox]")
    received = collector.received()
    for line in (
        f"Name           : send {topic}",
        "Kind           : Producer",
        f"messaging.destination.name: Str({topic})",
        f"Trace ID: {7:032x}",
        "Name: inbox_relay_events",
    ):
        assert line in received, line
