"""`inbox audit`: every offset of the ledger accounted for."""
