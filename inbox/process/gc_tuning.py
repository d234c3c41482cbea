"""The tuning of the garbage collector for a process that makes objects for every event."""

import gc


def freeze_startup_objects() -> None:
    """Keep modules, and all else that lives as long as the process, out of the garbage collector's rounds.

    Every event makes objects, so a busy sink or relay has many full rounds a second. They cost half
    of polling and decoding, and a third of a relay's work.
    """
    # Unfreeze first, so that objects left by a previous worker can be collected.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
