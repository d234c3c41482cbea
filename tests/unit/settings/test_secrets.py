"""No secret is ever shown, whatever else is wrong."""

import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox.errors import StartupError
from inbox.settings import load_settings
from inbox.settings.document import Document
from inbox.settings.sources import Value

SECRETS = st.text(alphabet="QXZ7", min_size=12, max_size=20)
"""Texts that no message of ours has in it by chance."""

PLACES = [
    ("database", "url"),
    ("kafka", "sasl.password"),
    ("kafka", "ssl.key.password"),
    ("kafka", "ssl.key.pem"),
    ("kafka", "sasl.oauthbearer.client.secret"),
    ("kafka", "sasl.pasword"),
    ("kafka", "basic.auth.user.info"),
]
FORMS = ["{}", "postgresql://u:{}@db/inventory", "postgresql://u:{}@db:x/inventory", "postgresql://u:a/{}@db/i?{}=x"]
MISTAKES = ["", '[sink]\nnam = "x"\n', "[outbox]\npayload = 3\n", '[http]\nlisten = "x"\n', "[[routes]]\ntopic = 3\n"]
SOURCES = ["file", "list in the file", "section", "secret file", "variable", "flag"]


def toml(path: tuple[str, str], secret: str, source: str) -> str:
    section, key = path
    return {
        "file": f'[{section}]\n"{key}" = "{secret}"\n',
        "list in the file": f'[{section}]\n"{key}" = ["{secret}", {{a = "{secret}"}}]\n',
        "section": f'{section} = "{secret}"\n',
    }.get(source, "")


def outcome(directory: Path, text: str, path: tuple[str, str], secret: str, source: str) -> str:
    """Everything that a user could come to see of the settings or of the error."""
    (directory / "inbox.toml").write_text(text)
    (directory / "secrets").mkdir()
    name = f"{path[0]}__{path[1].replace('.', '_')}"
    environ = {"INBOX_SECRETS_DIR": "secrets"}
    if source == "secret file":
        (directory / "secrets" / name).write_text(secret)
    if source == "variable":
        environ[f"INBOX_{name.upper()}"] = secret
    flags = {path[1]: secret} if source == "flag" and path[0] == "kafka" else {}
    try:
        found = load_settings(config=None, flags=flags, environ=environ, cwd=directory)
    except StartupError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        mine = [line for line in shown.format() if "test_secrets.py" not in line]
        return "".join([repr(error), *mine])
    return f"{found!s} {found!r}"


@given(SECRETS, st.sampled_from(PLACES), st.sampled_from(FORMS), st.sampled_from(SOURCES), st.sampled_from(MISTAKES))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_secret_is_shown(secret: str, path: tuple[str, str], form: str, source: str, mistake: str) -> None:
    text = toml(path, form.replace("{}", secret), source) + mistake
    if f"[{path[0]}]" in mistake and source in {"file", "list in the file"}:
        text = mistake

    with TemporaryDirectory() as directory:
        shown = outcome(Path(directory), text, path, form.replace("{}", secret), source)

    assert secret not in shown


def test_settings_that_hold_secrets_do_not_show_them(tmp_path: Path) -> None:
    (tmp_path / "inbox.toml").write_text(
        '[sink]\nname = "a"\n[database]\nurl = "postgresql://u:hunter2@db/d"\n'
        '[kafka]\n"bootstrap.servers" = "k"\n"sasl.password" = "hunter2"\n'
        '[[routes]]\ntopic = "t"\nhandler = "h"\n'
    )

    found = load_settings(config=None, flags={}, environ={}, cwd=tmp_path)

    assert "hunter2" not in f"{found} {found!r}"
    assert found.kafka.properties["sasl.password"] == "hunter2"
    assert found.database.url.get_secret_value() == "postgresql://u:hunter2@db/d"


def test_credentials_in_the_wrong_place_are_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "inbox.toml").write_text(
        '[sink]\nname = "postgresql://u:hunter2@db/d"\n"postgresql://u:hunter2@db/e" = 1\n'
    )

    shown = traceback.format_exception(_error(tmp_path))

    assert "hunter2" not in "".join(shown)


@pytest.mark.parametrize(
    "text",
    [
        '[kafka]\n"sasl.password=hunter2" = 1\n',
        '[kafka]\n"sasl.oauthbearer.client.secret=hunter2" = 1\n',
        '[kafka]\n"sasl.oauthbearer.assertion.private.key.passphrase = hunter2" = 1\n',
        '[kafka]\n"sasl.password" = hunter2\n',
        '[kafka]\n"sasl.password" = "hunter2\n',
        '[kafka]\nsasl = {password = "hunter2", password = "hunter2"}\n',
        '[database]\nurl = "host=db password=hunter2"\n',
        '[database]\nurl = "postgresql://db/inbox?password=hunter2&x=1"\n',
        '[database]\nurl = "postgresql://u:pass@hunter2@db/inbox"\n',
        '[database]\npassword = "hunter2"\n',
        '[http]\nlisten = "sslpassword=hunter2"\n',
    ],
)
def test_a_mistake_beside_a_secret_does_not_show_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "inbox.toml").write_text(text)

    assert "hunter2" not in "".join(traceback.format_exception(_error(tmp_path)))


def test_the_document_that_was_read_does_not_show_its_properties() -> None:
    assert "hunter2" not in repr(Document.model_validate({"kafka": {"sasl.password": "hunter2"}}))


def test_a_value_on_its_way_does_not_show_itself() -> None:
    assert "hunter2" not in repr(Value(("kafka", "sasl.password"), "hunter2", "flag -X"))


def _error(directory: Path) -> StartupError:
    try:
        load_settings(config=None, flags={}, environ={}, cwd=directory)
    except StartupError as error:
        return error
    raise AssertionError("it was not refused")
