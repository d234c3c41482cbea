"""The reports: the texts and JSON with which commands show their findings."""
