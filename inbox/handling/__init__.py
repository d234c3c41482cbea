"""The functions of handlers: their shape, their parameters, and the values that they take."""
