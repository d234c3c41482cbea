"""The commands that steer a running sink, and the one that lists what was done."""
