"""The statements that change existing rows of the user's table: updates and soft deletes."""
