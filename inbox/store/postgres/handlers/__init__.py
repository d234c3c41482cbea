"""What handlers may do on the sink's connection: SQLAlchemy over it, and no end of its transaction."""
