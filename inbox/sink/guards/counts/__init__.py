"""Guards that refuse nothing: they count what is worth a look, in the batch's transaction and as metrics."""
