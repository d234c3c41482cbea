"""The parts of a running process that surround a sink or a relay."""
