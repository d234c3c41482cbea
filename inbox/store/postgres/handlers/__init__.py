"""Give handlers the sink's connection: SQLAlchemy over it, without an end of its transaction."""
