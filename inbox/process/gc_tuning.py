"""The garbage collector of a process that makes objects for every event."""

import gc


def spare_what_stays() -> None:
    """Modules, and all else that lives as long as the process, from the rounds of the garbage collector.

    Every event makes objects, so a busy sink or relay has many full rounds a second: half of what polling and decoding
    cost, a third of what a relay does.
    """
    # What a worker before left behind is no more among it.
    gc.unfreeze()
    gc.collect()
    gc.freeze()
