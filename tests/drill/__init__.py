"""A drill: the page docs/how-to/incident.md, typed command for command beside a sink under load."""
