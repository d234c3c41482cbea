"""The server of `[http] listen`: /live, /ready and /metrics, on a thread of its own."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Protocol

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from inbox.errors import StartupError
from inbox.telemetry import REGISTRY

_MOST_CONNECTIONS = 16
_REQUEST_SECONDS = 10.0
_TEXT = "text/plain; charset=utf-8"


class Probes(Protocol):
    """The questions of `/live` and `/ready`. Each returns None, or the reason for a "no"."""

    def not_live(self) -> str | None: ...
    def not_ready(self) -> str | None: ...


class Response(NamedTuple):
    """A whole response."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


@contextmanager
def serving(listen: tuple[str, int] | None, probes: Probes, metrics: Collector = REGISTRY) -> Iterator[None]:
    """Answer requests on the address while the context is entered. Without an address nothing happens.

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


def respond(path: str, accept: str, probes: Probes, metrics: Collector) -> Response:
    """Return the answer to a request for `path`."""
    match path.partition("?")[0]:
        case "/live":
            return _probe(probes.not_live())
        case "/ready":
            return _probe(probes.not_ready())
        case "/metrics":
            encode, content_type = choose_encoder(accept)
            return Response(HTTPStatus.OK, encode(metrics), content_type)
    return Response(HTTPStatus.NOT_FOUND, b"there are /live, /ready and /metrics\n")


def _probe(why_not: str | None) -> Response:
    if why_not is None:
        return Response(HTTPStatus.OK, b"ok\n")
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, f"{why_not}\n".encode())


class _Handler(BaseHTTPRequestHandler):
    """The handling of one request."""

    server: "_Server"  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        found = respond(self.path, self.headers.get("Accept", ""), self.server.probes, self.server.metrics)
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(found.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: a probe every few seconds is not news."""


class _Server(ThreadingHTTPServer):
    """A server with a bound on its connections and on the time of each.

    A client that is slow on purpose holds a thread and a descriptor. If all are held, the oldest
    connection is closed for the new one, so that a probe is answered however many slow clients
    there are.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, listen: tuple[str, int], probes: Probes, metrics: Collector) -> None:
        self.address_family = socket.getaddrinfo(*listen, type=socket.SOCK_STREAM)[0][0]
        self.probes = probes
        self.metrics = metrics
        self._lock = threading.Lock()
        self._began: dict[socket.socket, float] = {}
        super().__init__(listen, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._began) >= _MOST_CONNECTIONS:
                self._cut(next(iter(self._began)))
            self._began[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._began.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Close connections that take too long. `serve_forever` calls this twice a second."""
        with self._lock:
            for request in [at for at, since in self._began.items() if time.monotonic() - since > _REQUEST_SECONDS]:
                self._cut(request)

    def _cut(self, request: socket.socket) -> None:
        """Close a connection, which its thread then finds closed."""
        del self._began[request]
        with suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore the error of a client that hangs up early, which is not news either."""


def _server(listen: tuple[str, int], probes: Probes, metrics: Collector) -> _Server:
    try:
        return _Server(listen, probes, metrics)
    except OSError as error:
        host, port = listen
        raise StartupError(
            f"cannot listen on {host}:{port}: {error.strerror}; correct [http] listen, or end what holds the port"
        ) from error
