"""The error of a payload that its schema cannot express."""


class PayloadMisfitError(Exception):
    """A payload does not fit its schema. The text names fields of the schema, and no part of the payload."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def within(self, field: str) -> "PayloadMisfitError":
        """Return the same error, seen from around a field of the schema."""
        return PayloadMisfitError(self.reason, f"/{field}{self.path}")

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason
