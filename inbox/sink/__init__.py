"""The path of an event: poll, decode, identify, apply, settle."""
