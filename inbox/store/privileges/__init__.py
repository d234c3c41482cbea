"""What each login may do: asked of the server, and granted by SQL."""
