"""The two addresses of an `inbox.toml`, for programs of the example that are no part of the inbox."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Addresses:
    """Where database and brokers are; the URL holds a password."""

    database_url: str = field(repr=False)
    bootstrap_servers: str

    @property
    def sqlalchemy_url(self) -> str:
        """The same with the name of the driver, as SQLAlchemy wants it."""
        return self.database_url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def database(self) -> str:
        return urlsplit(self.database_url).path.removeprefix("/")

    @property
    def server_url(self) -> str:
        """The database that every PostgreSQL server has, from which others are made."""
        return urlsplit(self.database_url)._replace(path="/postgres").geturl()


def read(path: str) -> Addresses:
    document = tomllib.loads(Path(path).read_text())
    return Addresses(document["database"]["url"], document["kafka"]["bootstrap.servers"])
