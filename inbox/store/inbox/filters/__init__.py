"""Filters over the claims of older generations, which say that an id was never claimed."""
