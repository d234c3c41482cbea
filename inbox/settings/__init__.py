"""The configuration: read from its sources, checked as a whole, handed out in typed parts."""

from inbox.settings.load import (
    load_any_settings,
    load_database_settings,
    load_relay_settings,
    load_server_settings,
    load_settings,
)
from inbox.settings.model import DatabaseSettings, RelaySettings, RetentionLimits, ServerSettings, Settings

__all__ = [
    "DatabaseSettings",
    "RelaySettings",
    "RetentionLimits",
    "ServerSettings",
    "Settings",
    "load_any_settings",
    "load_database_settings",
    "load_relay_settings",
    "load_server_settings",
    "load_settings",
]
