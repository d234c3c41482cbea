"""The operations: one package or module for each thing that an operator does."""
