"""What must hold before a batch may commit."""
