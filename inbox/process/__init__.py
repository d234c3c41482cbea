"""What a running process needs around a sink or a relay."""
