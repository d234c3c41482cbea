"""The inbox's own tables: ledger, claims, dead letters and what belongs to them."""
