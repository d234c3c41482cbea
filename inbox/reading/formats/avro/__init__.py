"""Read values in Avro."""
