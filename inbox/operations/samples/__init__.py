"""Infer the shape of a topic from a sample: format, envelope, members, types and keys. No value is shown."""
