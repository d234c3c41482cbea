"""The redaction of secrets in everything that the program prints or logs."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import click

from inbox.kafka.secret_names import LOGIN_IN_URL, NAMED_SECRET, is_secret

if TYPE_CHECKING:  # `inbox --help` has no settings, and does without their modules
    from inbox.kafka.options import KafkaOptions
    from inbox.kafka.registry.options import RegistryOptions
    from inbox.store.options import DatabaseOptions

_HIDDEN = "********"
_PASSWORD_OF_URL = re.compile(r"://[^\s:/@]*:([^\s@]*)@")
"""The password as libpq takes it from a URL: up to the first `@`."""

_LIBRDKAFKA_QUOTES = re.compile(
    r"((?:Unrecognized|Invalid) sasl\.oauthbearer\.(?:config|extensions)\b).*?(?= \(_\w+\)|\Z)", re.DOTALL
)
"""A complaint of librdkafka. It quotes the unparsable part of the value, up to the error's name after it."""

_SHORTEST = 4
_SHORTEST_WORD = 8
"""A shorter secret of letters or digits alone is a word or number too; no sentence can be read without it."""
_SHORTEST_LINE = 16


class Secrets:
    """The secrets of the configuration, as far as it was read."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._public: set[str] = set()

    def learn(
        self,
        database: "DatabaseOptions",
        kafka: "KafkaOptions | None" = None,
        registry: "RegistryOptions | None" = None,
    ) -> None:
        """Remember the secrets that must never be shown."""
        url = database.url.get_secret_value()
        self._public.add(database.schema)
        self._public.update(re.findall(r"\w+", _without_values(url)))
        self.learn_value(url)
        for given in _values(url):
            self.learn_value(given)
        self.learn_servers(kafka, registry)

    def learn_servers(self, kafka: "KafkaOptions | None", registry: "RegistryOptions | None") -> None:
        """Remember the secrets of the brokers and of the registry."""
        if kafka is not None:
            self._public.add(kafka.group_id)
            for name, value in kafka.properties.items():
                if is_secret(name):
                    self.learn_value(value)
        if registry is not None:
            for name, value in registry.properties.items():
                if is_secret(name):
                    self.learn_value(value)
                if name == "basic.auth.user.info":
                    self.learn_value(value.partition(":")[2])

    def learn_value(self, secret: str) -> None:
        """Remember one secret, in every form in which an error may quote it."""
        quoted = {repr(secret), json.dumps(secret), json.dumps(secret, ensure_ascii=False)}
        self._texts |= {secret, unquote(secret), quote(secret, safe=""), *(each[1:-1] for each in quoted)}
        lines = secret.splitlines() if "\n" in secret else []
        self._texts |= {line for line in lines if len(line) >= _SHORTEST_LINE and not line.startswith("-----")}

    def hidden(self, text: str) -> str:
        """Return the text without any of the secrets."""
        return self._hidden(text, self._texts)

    def hidden_in_sentence(self, text: str) -> str:
        """Return the text without the secrets that a sentence can do without.

        A secret that is also a public name, or too short to be secret, stays. A sentence without
        every word that is a secret would be unreadable if the password is "inbox".
        """
        return self._hidden(text, set(filter(_is_no_word, self._texts - self._public)))

    def _hidden(self, text: str, secrets: set[str]) -> str:
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return without_passwords(text)


def of_command() -> Secrets:
    """Return the secrets that the running command has learned; outside a command, none."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Secrets) if context is not None else None
    return found if found is not None else Secrets()


def without_passwords(text: str) -> str:
    """Return the text without the secrets in URLs, conninfos and librdkafka's complaints."""
    return _LIBRDKAFKA_QUOTES.sub(rf"\g<1>: {_HIDDEN}", _without_values(text))


def _without_values(text: str) -> str:
    return NAMED_SECRET.sub(rf"\g<1>{_HIDDEN}", LOGIN_IN_URL.sub(rf"\g<1>{_HIDDEN}\g<2>", text))


def _is_no_word(secret: str) -> bool:
    if secret.isalpha() or secret.isdigit():
        return len(secret) >= _SHORTEST_WORD
    return len(secret) >= _SHORTEST


def _values(url: str) -> Iterator[str]:
    yield from _PASSWORD_OF_URL.findall(url)
    for match in NAMED_SECRET.finditer(url):
        yield match[2]
        yield match[2].strip("'\"")
