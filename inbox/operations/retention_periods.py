"""The retention periods that the configuration asks for, and those that the owner of the schema keeps in any case."""

from dataclasses import replace
from datetime import timedelta

from inbox.settings import RetentionLimits
from inbox.store.inbox.retention import KeptPeriods
from inbox.store.schema.names import GENERATION_SLOTS

SHARES = GENERATION_SLOTS - 1
"""The number of shares of the retention. After each, another generation of claims takes over."""


def letters_retention(limits: RetentionLimits) -> timedelta:
    """Return the retention of dead letters, which is never shorter than that of claims.

    A discarded dead letter says that its claim belongs to an event that never took effect, so it
    stays as long.
    """
    return max(limits.dead_letters, limits.claims + limits.claims / SHARES)


def kept_by_owner(limits: RetentionLimits) -> KeptPeriods:
    """Return the periods that the owner is to keep for a sink with this configuration."""
    return KeptPeriods(limits.claims, limits.progress, letters_retention(limits))


def in_effect(limits: RetentionLimits, kept: KeptPeriods | None) -> RetentionLimits:
    """Return the periods by which a round removes.

    The owner's functions leave what is younger than the owner keeps.
    """
    if kept is None:
        return limits
    return replace(
        limits,
        claims=max(limits.claims, kept.claims),
        progress=max(limits.progress, kept.progress),
        dead_letters=max(limits.dead_letters, kept.dead_letters),
    )


def overruled(limits: RetentionLimits, kept: KeptPeriods | None) -> list[str]:
    """Return the settings of `[retention]` that are shorter than what the owner keeps."""
    if kept is None:
        return []
    asked = kept_by_owner(limits)._asdict()
    return [name for name, time in kept._asdict().items() if asked[name] < time]
