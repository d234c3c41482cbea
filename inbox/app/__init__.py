"""Wires the parts together; nothing else knows them all."""
