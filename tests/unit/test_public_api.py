"""What users import, and nothing by accident."""

from types import ModuleType

import inbox


def test_the_package_offers_exactly_its_public_names() -> None:
    public = {
        name for name, value in vars(inbox).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public == set(inbox.__all__)
    assert inbox.__all__ == sorted(inbox.__all__)


def test_every_error_is_an_inbox_error() -> None:
    errors = [inbox.EventError, inbox.HaltError, inbox.StartupError, inbox.TryAgainError]
    assert all(issubclass(error, inbox.InboxError) for error in errors)


def test_no_error_is_another_ones_kind() -> None:
    errors = [inbox.EventError, inbox.HaltError, inbox.StartupError, inbox.TryAgainError]
    assert [(a, b) for a in errors for b in errors if a is not b and issubclass(a, b)] == []
