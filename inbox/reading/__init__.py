"""Read what a record says: its format, its envelope, and the row that a route makes of it. No I/O."""
