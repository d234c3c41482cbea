"""The commands, one module for each: parse, call, print."""
