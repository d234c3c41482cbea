"""The members of rows by their names: the columns that they fill, and those that fill none."""
