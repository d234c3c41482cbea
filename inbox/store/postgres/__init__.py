"""Connections, transactions, errors and protocols of PostgreSQL, which know nothing of the inbox's tables."""
