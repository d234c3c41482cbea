"""The tables by which operators steer a running sink, and the record of what they did."""
