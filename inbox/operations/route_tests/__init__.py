"""`inbox test`: events in, rows and dead letters expected."""
