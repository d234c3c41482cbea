"""The work of `inbox replay`: settling a range of offsets again."""
