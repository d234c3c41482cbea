"""Dead letters applied after all: `resolver` does so for some keys, on a person's command or for the running sink.

`events` reads their events again, and `due` chooses what the running sink tries by itself.
"""
