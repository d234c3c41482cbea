"""Recognise secrets by their names: in properties of librdkafka, and in URLs, conninfos and lines of a file."""

import re

_SECRET_WORDS = ("password", "passphrase", "secret", "user.info", "token", "jaas")
_SECRET_NAMES = frozenset({"sasl.oauthbearer.config", "sasl.oauthbearer.extensions"})
_TOKEN_NAMES = frozenset({"sasl.oauthbearer.token.endpoint.url"})

NAMED_SECRET = re.compile(
    r"""([\w.-]*(?:password|passphrase|secret|user[._]info|token|jaas[._]config|[._]pem|oauthbearer[._]config
    |oauthbearer[._]extensions|scram_client_key|scram_server_key)(?:["']?\s*=\s*|["']\s*:\s*))
    ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&]+)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A secret of librdkafka or libpq after its name: in a conninfo, a URL, a variable, a line of TOML or JSON."""

LOGIN_IN_URL = re.compile(r"(://[^\s:/@]*:)\S*(@)")
"""A password in a URL, up to the last `@` of the word, because an unescaped password may contain an `@`."""


def is_secret(name: str) -> bool:
    """Return whether the value must never be shown.

    The words in the name decide, so that a misspelt name is covered too.
    """
    folded = name.casefold().replace("_", ".")
    if folded in _TOKEN_NAMES:
        return False
    return folded in _SECRET_NAMES or folded.endswith(".pem") or any(word in folded for word in _SECRET_WORDS)
