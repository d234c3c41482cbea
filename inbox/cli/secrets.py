"""Keeps secrets out of what is printed when something goes wrong that nobody foresaw."""

import re
from urllib.parse import unquote

from inbox.kafka.options import KafkaOptions
from inbox.settings.properties import is_secret
from inbox.store.options import DatabaseOptions

_HIDDEN = "********"
_IN_URL = re.compile(r"(://[^\s:/@]*:)[^\s@]*(@)")
_IN_CONNINFO = re.compile(r"(\bpassword\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE)


class Secrets:
    """The secrets of the configuration that was read, as far as it came."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def learn(self, database: DatabaseOptions, kafka: KafkaOptions | None = None) -> None:
        """Remember what must never be shown."""
        url = database.url.get_secret_value()
        self._texts.add(url)
        for match in [*_IN_URL.finditer(url), *_IN_CONNINFO.finditer(url)]:
            given = url[match.end(1) : match.start(2) if match.re is _IN_URL else match.end(2)]
            self._texts |= {given, unquote(given)}
        if kafka is not None:
            self._texts |= {value for name, value in kafka.properties.items() if is_secret(name)}

    def hidden(self, text: str) -> str:
        """The text without them, wherever they stand."""
        for secret in sorted(filter(None, self._texts), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return without_passwords(text)


def without_passwords(text: str) -> str:
    """The text without what stands where a URL or a conninfo has its password.

    Enough for sentences that somebody wrote: to take out every word that is a secret would make `inbox migrate`
    unreadable to whoever has the password "inbox".
    """
    return _IN_CONNINFO.sub(rf"\g<1>{_HIDDEN}", _IN_URL.sub(rf"\g<1>{_HIDDEN}\g<2>", text))
