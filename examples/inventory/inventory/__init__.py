"""An order service that emits `order.events`, and an inventory handler that takes stock from them."""
