"""Take events out of their envelopes: Debezium's change events, and CloudEvents. No I/O."""
