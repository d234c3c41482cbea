"""The work of `inbox check`: everything that a start needs, each problem with its remedy."""
