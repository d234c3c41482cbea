"""`inbox status`."""
