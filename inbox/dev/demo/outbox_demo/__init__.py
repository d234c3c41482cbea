"""`inbox demo --outbox`: orders from one database to another, and every part on the way killed."""
