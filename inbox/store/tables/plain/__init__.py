"""Make the columns of plain JSON rows in the client, so that the server has no JSON to decode.

A row is plain where each member that fills a column reads the same here as in PostgreSQL.
"""
