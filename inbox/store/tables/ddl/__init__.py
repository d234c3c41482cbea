"""The SQL by which an operator creates or extends a table. The sink itself runs none of it."""
