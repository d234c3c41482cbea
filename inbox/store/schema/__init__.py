"""The schema of the inbox's tables: their names, revisions and migrations."""
