"""A table that Debezium captures and the sink rebuilds: source and target have to be equal."""
