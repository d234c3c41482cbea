"""Headless Chromium and axe, with which a page of the documentation site is looked at as a reader would see it."""

import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from inbox.dev.local.kafka_jars import cache_directory

AXE = "axe-core@4.14.1"
AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
WITHIN_SECONDS = 300
_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=60000",
    "--dump-dom",
]
# The site's pages load a script of Mermaid's from elsewhere; nothing but this machine is asked here.
_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
# The frame has the width of the reader's screen: a window of a browser may have a least width.
_FRAME = """\
<!doctype html><html lang="en"><title>frame</title><iframe src="/{page}" style="width:{width}px;height:800px;border:0">
</iframe><pre></pre><script>
document.querySelector('iframe').onload = function () {{
  const window_ = this.contentWindow, page = window_.document, script = page.createElement('script');
  script.src = '/.axe.js';
  script.onload = () => window_.axe.run(page, {{resultTypes: ['violations']}}).then(found => {{
    document.querySelector('pre').textContent = 'FOUND' + JSON.stringify({{
      width: window_.innerWidth, needed: page.documentElement.scrollWidth,
      violations: found.violations.map(each => [each.impact, each.id, each.nodes[0].html])}}) + 'END';
  }});
  page.head.appendChild(script);
}};
</script></html>
"""


def why_not(site: Path) -> str | None:
    """Return why no page can be looked at here; None if it can."""
    if not (site / "index.html").is_file():
        return "there is no build/site: run `make docs` first"
    if shutil.which("chromium") is None:
        return "there is no Chromium on this machine"
    if not _axe_path().is_file() and shutil.which("npm") is None:
        return "there is no npm to download axe-core"
    return None


@contextmanager
def serving(site: Path) -> Iterator[str]:
    """Serve the site, and frames of it at `/.frame/WIDTH/PAGE`, on this machine alone; yield the address."""
    script = _axe()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(site))

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/.axe.js":
                self._send(script, "text/javascript")
            elif self.path.startswith("/.frame/"):
                _, _, width, page = self.path.split("/", 3)
                self._send(_FRAME.format(page=page, width=width).encode(), "text/html")
            else:
                super().do_GET()

        def _send(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def looked_at(address: str, page: str, *, width: int) -> dict[str, Any]:
    """Return the `width` in pixels that a page has, the one that it `needed`, and what axe found."""
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", *_QUIET, _ALONE, f"--user-data-dir={profile}", f"{address}/.frame/{width}/{page}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False)
    match = re.search(r"FOUND(\{.*\})END", done.stdout, re.DOTALL)
    assert match is not None, done.stderr[-500:]
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    return found


def _axe_path() -> Path:
    return cache_directory() / f"{AXE.replace('@', '-')}.min.js"


def _axe() -> bytes:
    """Return axe's script, downloaded once; other files than the pinned one are never run."""
    path = _axe_path()
    if not path.is_file():
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["npm", "pack", "--silent", AXE], cwd=directory, check=True, timeout=120)
            [archive] = Path(directory).glob("*.tgz")
            content = archive.read_bytes()
        assert hashlib.sha256(content).hexdigest() == AXE_SHA256, f"{AXE} is not the pinned file"
        with tarfile.open(fileobj=io.BytesIO(content)) as files:
            script = files.extractfile("package/axe.min.js")
            assert script is not None
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(script.read())
    return path.read_bytes()
