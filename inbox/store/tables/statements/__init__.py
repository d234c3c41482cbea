"""The SQL of one table route, composed once from the configuration and the catalog only.

`statements` has all of it by name. Beside it: `rows` is the batch as rows, which all of them read;
`row_conditions` refuses rows as the table would; `inserts` writes, `deletes` removes, `rounds` finds
which events cannot share a statement, and `searches` finds out which event failed, and why.
"""
