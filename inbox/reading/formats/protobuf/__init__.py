"""Read values in Protocol Buffers."""
