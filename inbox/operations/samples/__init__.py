"""What a sample of a topic says about its shape: format, envelope, members, types and keys. No value is shown."""
