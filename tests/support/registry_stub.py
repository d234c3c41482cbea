"""A schema registry over HTTP whose answers a test writes, among them those that no registry gives."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, bytes]


def schema_answer(text: Any, kind: str = "AVRO", references: list[Any] | None = None, **more: Any) -> Answer:
    """The answer with a schema."""
    text = text if isinstance(text, str) else json.dumps(text)
    body = {"schema": text, "schemaType": kind, "references": references or [], **more}
    return 200, json.dumps(body).encode()


def refusal(status: int, code: int = 40403) -> Answer:
    """The answer of a registry that refuses."""
    return status, json.dumps({"error_code": code, "message": "no"}).encode()


@dataclass
class RegistryStub:
    """The answers by path, without the query; a path without an answer gets that of `otherwise`."""

    url: str = ""
    answers: dict[str, Answer | Callable[[], Answer]] = field(default_factory=dict)
    otherwise: Answer = field(default_factory=lambda: refusal(404))
    asked: list[str] = field(default_factory=list)
    drip_seconds: float = 0.0
    """The time between two bytes of an answer."""

    def answer(self, path: str) -> Answer:
        self.asked.append(path)
        found = self.answers.get(path) or self.answers.get(path.partition("?")[0], self.otherwise)
        return found() if callable(found) else found


@contextmanager
def registry_stub() -> Iterator[RegistryStub]:
    """Serve on a free port of this machine."""
    stub = RegistryStub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            status, body = stub.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self._send(body)

        def _send(self, body: bytes) -> None:
            if not stub.drip_seconds:
                self.wfile.write(body)
                return
            for byte in body:
                time.sleep(stub.drip_seconds)
                self.wfile.write(bytes([byte]))
                self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
