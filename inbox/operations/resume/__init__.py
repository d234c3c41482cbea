"""The work of `inbox resume`: the way out of a halt."""
