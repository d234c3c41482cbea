"""The tuning of the garbage collector: for a process that starts, works on many events, and ends."""

import gc

_YOUNG_OBJECTS = 20_000
"""The new objects after which the collector looks for cycles; Python's default is 700.

Rows that are decoded in the client are some ten objects an event, which end with their batch and are in no cycle.
"""
_OBJECTS_OF_A_START = 100_000
"""The same, while modules are imported: they make some 100,000 objects, which live as long as the process."""


def collect_seldom_at_start() -> None:
    """Let imports make their objects without rounds of the garbage collector, which would find next to nothing.

    With Python's default they take a tenth of a start.
    """
    gc.set_threshold(_OBJECTS_OF_A_START, *gc.get_threshold()[1:])


def freeze_startup_objects(*, thaws: bool = False) -> None:
    """Keep modules, and all else that lives as long as the process, out of the garbage collector's rounds.

    Every event makes objects, so a busy sink or relay has many full rounds a second. They cost half
    of polling and decoding, and a third of a relay's work. The rounds become rarer, too.

    With `thaws` the process had a worker before: the objects that it left are collected first, in a round over all.
    """
    if thaws:
        gc.unfreeze()
        gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def leave_objects_to_the_exit() -> None:
    """Keep all objects out of the rounds that the interpreter makes at its exit, which take as long as many imports.

    The memory ends with the process. What has to be closed was closed before: nothing waits for the collector.
    """
    gc.freeze()
