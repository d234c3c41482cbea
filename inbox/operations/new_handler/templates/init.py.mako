"""Handlers for kafka-inbox."""
