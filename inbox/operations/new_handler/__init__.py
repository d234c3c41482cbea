"""`inbox new handler`: a package with a handler, its tests and what deploys it."""
