"""The rights of each login: checked with the server, and granted by SQL."""
