"""The work of `inbox status`."""
