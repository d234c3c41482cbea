"""An example: an order service whose orders and events commit together."""
