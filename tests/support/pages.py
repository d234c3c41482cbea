"""Read the pages that a sink serves while it runs."""

import urllib.error
import urllib.request

from inbox.dev.ports import free_port
from tests.integration.cli.conftest import Sink


def listening(sink: Sink) -> int:
    """Return the port on which the sink will answer."""
    port = free_port()
    sink.config.write_text(sink.config.read_text() + f'[http]\nlisten = "127.0.0.1:{port}"\n')
    return port


def get(port: int, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
