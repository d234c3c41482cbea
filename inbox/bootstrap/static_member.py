"""Static membership: a `group.instance.id` is the name of one process."""

from inbox.errors import StartupError
from inbox.settings import Settings

_NAME = "group.instance.id"


def refuse_shared_instance(settings: Settings, workers: int) -> None:
    """Raise StartupError if several workers would be one static member of the group, and end each other."""
    if workers > 1 and (name := settings.kafka.properties.get(_NAME)) is not None:
        raise StartupError(
            f'[kafka] "{_NAME}" = "{name}" would be the same in all {workers} workers, and they would end each other; '
            "leave it out, or start processes of one worker each, with an id of their own"
        )


def advice_on_instance(settings: Settings) -> list[str]:
    """Return the advice for a static member of the group, or none for a dynamic one."""
    if (name := settings.kafka.properties.get(_NAME)) is None:
        return []
    return [
        f'[kafka] "{_NAME}" = "{name}" is the name of one process: a second one with it ends the first with exit code '
        "4, and `inbox run --workers N` refuses it; give each process its own"
    ]
