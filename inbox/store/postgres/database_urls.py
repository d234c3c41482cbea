"""Name another database of a server."""

from urllib.parse import urlsplit


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server, which has no host where it is reached by a socket."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{query}"
