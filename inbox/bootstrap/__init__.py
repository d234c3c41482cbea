"""From settings to real objects: the only place that builds and wires them."""
