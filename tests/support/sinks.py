"""Make what a test needs for a sink of its own: a configuration file, and handlers that look installed."""

from collections.abc import Mapping
from pathlib import Path


def write_configuration(
    path: Path,
    *,
    database_url: str,
    bootstrap_servers: str,
    routes: str,
    name: str = "inventory",
    sink: str = "",
    database: str = "",
    kafka: str = "",
    rest: str = "",
) -> Path:
    """Write an `inbox.toml`. `sink`, `database` and `kafka` are more lines of their sections, `rest` more sections."""
    path.write_text(
        f'[sink]\nname = "{name}"\n{sink}\n'
        f'[database]\nurl = "{database_url}"\n{database}\n'
        f'[kafka]\n"bootstrap.servers" = "{bootstrap_servers}"\n"session.timeout.ms" = 6000\n{kafka}\n'
        f"{routes}\n{rest}\n"
    )
    return path


def offer_handlers(directory: Path, handlers: Mapping[str, str], *, package: str = "handlers-of-a-test") -> Path:
    """Make a directory that, once on sys.path, looks like an installed package with these handlers.

    `handlers` maps a name in the group `inbox.handlers` to `module:object`.
    """
    return offer_entry_points(directory, "inbox.handlers", handlers, package=package)


def offer_entry_points(
    directory: Path, group: str, names: Mapping[str, str], *, package: str = "handlers-of-a-test"
) -> Path:
    """Make a directory that, once on sys.path, looks like an installed package with these names in the group."""
    info = directory / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, target in names.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    return directory
