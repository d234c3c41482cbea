"""The parts of writing a batch into the user's table: its inputs, and its rounds where one statement is not enough."""
