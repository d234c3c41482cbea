"""Write JSON as Avro."""
