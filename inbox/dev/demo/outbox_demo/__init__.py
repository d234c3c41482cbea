"""The demo `inbox demo --outbox`: orders go from one database to another, and every part on the way is killed."""
