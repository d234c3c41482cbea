"""The work of `inbox audit`: every offset of the ledger is accounted for."""
