"""What is kept of a failure: the texts of its error, and its cause."""
