"""Orders come in as events, and each takes its quantity from stock: the example that the demo runs."""
