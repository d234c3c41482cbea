"""Keeps secrets out of everything that the program prints or logs."""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from inbox.kafka.options import KafkaOptions
from inbox.settings.properties import is_secret
from inbox.store.options import DatabaseOptions

_HIDDEN = "********"
_IN_URL = re.compile(r"(://[^\s:/@]*:)[^\s@]*(@)")
_IN_CONNINFO = re.compile(
    r"(\b(?:PG|ssl)?password\s*=\s*|\boauth_client_secret\s*=\s*|\bscram_(?:client|server)_key\s*=\s*)"
    r"('(?:[^'\\]|\\.)*'|[^\s&]+)",
    re.IGNORECASE,
)
"""libpq's parameters that hold a secret (PostgreSQL manual, "Parameter Key Words"), and PGPASSWORD."""

_LIBRDKAFKA_QUOTES = re.compile(
    r"((?:Unrecognized|Invalid) sasl\.oauthbearer\.(?:config|extensions)\b).*?(?= \(_\w+\)|\Z)", re.DOTALL
)
"""librdkafka's complaint quotes the part of the value that it cannot parse, up to the name of the error behind it."""

_SHORTEST_IN_SENTENCES = 8
"""Shorter secrets are words too, and a sentence without them could not be read; they are hidden in tracebacks alone."""


class Secrets:
    """The secrets of the configuration that was read, as far as it came."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._public: set[str] = set()

    def learn(self, database: DatabaseOptions, kafka: KafkaOptions | None = None) -> None:
        """Remember what must never be shown."""
        url = database.url.get_secret_value()
        self._texts.add(url)
        self._public.add(database.schema)
        self._public.update(re.findall(r"\w+", _without_values(url)))
        for given in _values(url):
            self._texts |= {given, unquote(given)}
        if kafka is not None:
            self._public.add(kafka.group_id)
            self._texts |= {value for name, value in kafka.properties.items() if is_secret(name)}

    def hidden(self, text: str) -> str:
        """Return the text without any of them."""
        return self._hidden(text, self._texts)

    def hidden_in_sentence(self, text: str) -> str:
        """Return the text without them, but for those that are a public name as well, or too short to be one alone.

        A sentence without every word that is a secret would be unreadable where the password is "inbox".
        """
        return self._hidden(text, {each for each in self._texts - self._public if len(each) >= _SHORTEST_IN_SENTENCES})

    def _hidden(self, text: str, secrets: set[str]) -> str:
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return without_passwords(text)


def without_passwords(text: str) -> str:
    """Return the text without what stands where a URL, a conninfo or librdkafka's complaint has a secret."""
    text = _IN_CONNINFO.sub(rf"\g<1>{_HIDDEN}", _without_values(text))
    return _LIBRDKAFKA_QUOTES.sub(rf"\g<1>: {_HIDDEN}", text)


def _without_values(url: str) -> str:
    return _IN_CONNINFO.sub(rf"\g<1>{_HIDDEN}", _IN_URL.sub(rf"\g<1>{_HIDDEN}\g<2>", url))


def _values(url: str) -> Iterator[str]:
    for match in _IN_URL.finditer(url):
        yield url[match.end(1) : match.start(2)]
    for match in _IN_CONNINFO.finditer(url):
        yield match[2]
        yield match[2].strip("'")
