"""Build and wire the real objects from the settings. Nothing else does so."""
