"""Check that a text is a connection URI that libpq can read, without libpq.

Source: PostgreSQL manual, "Connection URIs" (libpq). libpq accepts every text that is accepted
here. Spaces and ports that are not numbers are refused, although libpq would pass them on and fail
later. No message repeats any part of the text, because a password with an unescaped "/" or "?" may
end up in any part of it.
"""

import re
from importlib import resources
from urllib.parse import unquote, unquote_to_bytes

from inbox.settings.problems import UnfitError, hint

PARAMETERS: frozenset[str] = frozenset(
    resources.files("inbox.settings").joinpath("names/libpq_parameters.txt").read_text("utf-8").split()
)
"""The keywords of libpq 18, which may stand after the "?"."""

_FORM = 'a PostgreSQL URI such as "postgresql://user@host:5432/database"'
_SCHEME = re.compile(r"postgres(?:ql)?://")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")
_REFUSED = {
    "sslkey": 'its sslkey has to be a file: with a ":" in it, libpq loads the OpenSSL engine of that name and runs it',
    "sslkeylogfile": "its sslkeylogfile would write the keys of every TLS session into a file; leave it out",
}
_HOST = re.compile(r"(?:\[[^\[\]/?,@]+\]|[^\[\]:/?,@]*)(?::([0-9]*))?")


def database_url(value: object) -> str:
    """Return the text itself if it is a `postgresql://` URI.

    Raises:
        UnfitError: it is not one; the text says which part is wrong, and repeats none of it.
    """
    if not isinstance(value, str) or not (scheme := _SCHEME.match(value)):
        raise UnfitError(_FORM + _scheme_advice(value))
    if any(char.isspace() or not char.isprintable() for char in value):
        raise UnfitError(f"{_FORM}, without spaces or line breaks in it (a space in a name is %20)")
    if _BAD_ESCAPE.search(value) or not _is_utf8(unquote_to_bytes(value)):
        raise UnfitError(f'{_FORM}, every "%" in it followed by two hexadecimal digits of UTF-8 (a "%" itself is %25)')
    _check_hosts(value[scheme.end() :])
    return value


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _scheme_advice(value: object) -> str:
    if isinstance(value, str) and value.startswith(("postgresql+", "postgres+", "jdbc:")):
        return " (libpq's form, without the name of a driver)"
    return ""


def _check_hosts(rest: str) -> None:
    credentials, at, after = rest.partition("@")
    if at and "/" not in credentials:
        rest = after
    hosts = re.split(r"[/?]", rest, maxsplit=1)[0]
    for host in hosts.split(","):
        found = _HOST.fullmatch(host)
        if found is None or (found[1] and not 0 < int(found[1][:6]) <= 65_535):
            raise UnfitError(
                f'{_FORM}; a host or port in it cannot be read (in a password "/" is %2F, "@" is %40, "?" is %3F)'
            )
    _check_parameters(rest.partition("?")[2])


def _check_parameters(query: str) -> None:
    for pair in query.split("&") if query else ():
        name, separator, setting = pair.partition("=")
        if not separator or "=" in setting:
            raise UnfitError(f'{_FORM}; after its "?" come name=value pairs joined by "&"')
        name = unquote(name)
        if (reason := _REFUSED.get(name)) and (name != "sslkey" or ":" in unquote(setting)):
            raise UnfitError(f"{_FORM}; {reason}")
        if name not in PARAMETERS and pair != "ssl=true":
            raise UnfitError(
                f'{_FORM}; after its "?" is a name that libpq does not know{hint(name, sorted(PARAMETERS))}'
            )
