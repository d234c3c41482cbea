"""The tuning of the garbage collector for a process that makes objects for every event."""

import gc

_YOUNG_OBJECTS = 20_000
"""The new objects after which the collector looks for cycles; Python's default is 700.

Rows that are decoded in the client are some ten objects an event, which end with their batch and are in no cycle.
"""


def freeze_startup_objects() -> None:
    """Keep modules, and all else that lives as long as the process, out of the garbage collector's rounds.

    Every event makes objects, so a busy sink or relay has many full rounds a second. They cost half
    of polling and decoding, and a third of a relay's work. The rounds become rarer, too.
    """
    # Unfreeze first, so that objects left by a previous worker can be collected.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
