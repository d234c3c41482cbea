"""Find and call what installed packages offer in entry-point groups."""
