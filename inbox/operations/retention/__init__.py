"""`inbox prune`, and the same in the background of a worker or a relay."""
