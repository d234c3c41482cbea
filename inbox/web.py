"""Live, ready and metrics over HTTP."""
