"""`inbox replay`: settling a range of offsets again."""
