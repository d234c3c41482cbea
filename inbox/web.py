"""`[http] listen`: /live, /ready and /metrics, from a thread of its own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Protocol

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from inbox.errors import StartupError
from inbox.telemetry import REGISTRY

_TEXT = "text/plain; charset=utf-8"


class Probes(Protocol):
    """What `/live` and `/ready` ask: None, or why not."""

    def not_live(self) -> str | None: ...
    def not_ready(self) -> str | None: ...


class Answer(NamedTuple):
    """A whole response."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


@contextmanager
def serving(listen: tuple[str, int] | None, probes: Probes, metrics: Collector = REGISTRY) -> Iterator[None]:
    """Answers on that address as long as it is entered; without an address it does nothing.

    Raises:
        StartupError: the address cannot be listened on.
    """
    if listen is None:
        yield
        return
    server = _server(listen, probes, metrics)
    thread = threading.Thread(target=server.serve_forever, name="inbox-http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def answer(path: str, accept: str, probes: Probes, metrics: Collector) -> Answer:
    """What a request for `path` gets."""
    match path.partition("?")[0]:
        case "/live":
            return _probe(probes.not_live())
        case "/ready":
            return _probe(probes.not_ready())
        case "/metrics":
            encode, content_type = choose_encoder(accept)
            return Answer(HTTPStatus.OK, encode(metrics), content_type)
    return Answer(HTTPStatus.NOT_FOUND, b"there are /live, /ready and /metrics\n")


def _probe(why_not: str | None) -> Answer:
    if why_not is None:
        return Answer(HTTPStatus.OK, b"ok\n")
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{why_not}\n".encode())


def _server(listen: tuple[str, int], probes: Probes, metrics: Collector) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10.0

        def do_GET(self) -> None:
            found = answer(self.path, self.headers.get("Accept", ""), probes, metrics)
            self.send_response(found.status)
            self.send_header("Content-Type", found.content_type)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(found.body)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """A probe every few seconds is no news."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up early is no news either."""

    try:
        Server.address_family = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM)[0][0]
        return Server(listen, Handler)
    except OSError as error:
        host, port = listen
        raise StartupError(
            f"cannot listen on {host}:{port}: {error.strerror}; correct [http] listen, or end what holds the port"
        ) from error
