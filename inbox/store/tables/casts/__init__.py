"""SQL expressions that make a value of a column's type from JSON or text, or fail."""
