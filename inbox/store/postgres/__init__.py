"""The connections, transactions, errors and protocols of PostgreSQL, independent of the inbox's tables."""
