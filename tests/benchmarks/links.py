"""How the rate of one worker depends on the network between it and the database.

A process of its own passes the bytes on, each half the round trip later, and holds nothing else up: what is under way
does not wait for what was sent before. Round after round the same topic goes into an empty table over each link; the
one without a delay leads through that process too.
"""

import argparse
import json
import os
import queue
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlsplit

from inbox.dev.backends import Servers, servers
from inbox.dev.ports import LOOPBACK, free_port
from tests.benchmarks.orders import PARTITIONS
from tests.benchmarks.throughput import Run, fill, measure
from tests.support.databases import by_way_of
from tests.support.kafka_topics import create_topic
from tests.support.waiting import eventually

ROUND_TRIPS = (0.0, 0.5, 2.0, 10.0)
AIMED_AT, AIM = 2.0, 0.9
_CHUNK = 1 << 18


def delayed(listen_port: int, server_port: int, milliseconds: float) -> None:
    """Pass connections on for ever, with this round trip added to that of the machine."""
    with socket.create_server((LOOPBACK, listen_port)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((LOOPBACK, server_port))
            for source, target in ((client, server), (server, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _pass(source, target, milliseconds / 2000)


def _pass(source: socket.socket, target: socket.socket, seconds: float) -> None:
    under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def receive() -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = source.recv(_CHUNK)
            except OSError:
                chunk = b""
            under_way.put((time.monotonic() + seconds, chunk))

    def deliver() -> None:
        while True:
            due, chunk = under_way.get()
            if (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            try:
                if not chunk:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(chunk)
            except OSError:
                source.close()
                return

    for work in (receive, deliver):
        threading.Thread(target=work, daemon=True).start()


@contextmanager
def link(running: Servers, milliseconds: float) -> Iterator[Servers]:
    """The same servers, the database at this round trip."""
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.links", "--listen", str(port)]
    command += ["--server", str(urlsplit(running.database_url).port), "--round-trips", str(milliseconds)]
    process = subprocess.Popen(command)
    try:
        eventually(lambda: _answers(port), what="the link")
        yield replace(running, database_url=by_way_of(running.database_url, port))
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-trips", type=float, nargs="*", default=ROUND_TRIPS, help="in milliseconds")
    parser.add_argument("--output", type=Path, default=Path("links.json"))
    parser.add_argument("--listen", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--server", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        delayed(options.listen, options.server, options.round_trips[0])
    runs: dict[float, list[Run]] = {}
    with servers(progress=print) as running:
        print(f"{running.description}, {os.cpu_count()} cores", flush=True)
        topic = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
        fill(running.bootstrap_servers, topic, options.events, 0)
        for _ in range(options.rounds):
            for milliseconds in options.round_trips:
                with link(running, milliseconds) as linked:
                    run = measure(linked, topic, options.events, 0)
                runs.setdefault(milliseconds, []).append(run)
                print(f"{milliseconds:5} ms {run.events_per_second:9,.0f} events/s", flush=True)
    found = {str(milliseconds): [asdict(run) for run in each] for milliseconds, each in runs.items()}
    options.output.write_text(json.dumps(found, indent=2) + "\n")
    report(runs)


def report(runs: dict[float, list[Run]]) -> None:
    """Markdown: medians, and the median of the ratios to the first link of each round."""
    first = next(iter(runs.values()))
    print("\n| round trip | events/s | of the first | worker CPU per event |\n|---|---|---|---|")
    for milliseconds, each in runs.items():
        rate = statistics.median(run.events_per_second for run in each)
        ratio = statistics.median(a.events_per_second / b.events_per_second for a, b in zip(each, first, strict=True))
        cpu = statistics.median(run.cpu_seconds / run.events * 1e6 for run in each)
        missed = f" (aim {AIM}: missed)" if milliseconds == AIMED_AT and ratio < AIM else ""
        print(f"| {milliseconds} ms | {rate:,.0f} | {ratio:.2f}{missed} | {cpu:.1f} us |")


if __name__ == "__main__":
    main()
