"""What is taken from a provider of credentials, and what is refused."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.errors import StartupError, TryAgainError
from inbox.plugins.credentials import Credential, CredentialRequest, fetch
from tests.support.sinks import offer_entry_points

MODULE = """
import time
from inbox import Credential

def good(request):
    return Credential(request.user + "@" + request.host, time.time() + 60)

def expired(request):
    return Credential("old", time.time() - 1)

def text(request):
    return "a password"

def fails(request):
    raise ValueError("the words of a library, with a secret")

number = 7
"""
REQUEST = CredentialRequest(service="database", host="db", port="5432", user="sink")

Offer = Callable[[str], None]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    (tmp_path / "given.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "given", raising=False)
    return lambda target: offer_entry_points(tmp_path, "inbox.credentials", {"p": f"given:{target}"}) and None


def test_the_provider_learns_what_the_credential_is_for(offer: Offer) -> None:
    offer("good")
    found = fetch("p", REQUEST)
    assert found.secret == "sink@db"
    assert found.expires_at is not None
    assert found.expires_at > time.time()


def test_a_credential_does_not_show_its_secret() -> None:
    assert "hunter2" not in repr(Credential("hunter2"))


@pytest.mark.parametrize("target", ["expired", "fails"])
def test_a_provider_that_fails_is_an_outage_of_its_service_without_its_words(offer: Offer, target: str) -> None:
    offer(target)
    with pytest.raises(TryAgainError) as error:
        fetch("p", REQUEST)
    assert (error.value.away, error.value.reason, error.value.alert) == ("database", "credentials", True)
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("text", "returned a value of type str; let it return an inbox.Credential"),
        ("number", "is not callable; fix its package"),
    ],
)
def test_a_provider_of_another_kind_ends_the_start(offer: Offer, target: str, said: str) -> None:
    offer(target)
    with pytest.raises(StartupError) as error:
        fetch("p", REQUEST)
    assert said in str(error.value)


def test_a_provider_that_nobody_offers_names_the_nearest(offer: Offer) -> None:
    offer("good")
    with pytest.raises(StartupError, match='did you mean "p"'):
        fetch("pp", REQUEST)
