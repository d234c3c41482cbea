"""The schema registry: schemas by their ids, through confluent-kafka's client."""
