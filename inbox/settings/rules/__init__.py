"""The rules that join several settings."""
