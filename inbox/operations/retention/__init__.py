"""The work of `inbox prune`, also in the background of a worker or a relay."""
