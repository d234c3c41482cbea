"""The checks that must pass before a batch may commit, and the state that they need."""
