"""Handlers for usual tasks."""
