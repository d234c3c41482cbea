"""The work of `inbox dead-letters`: what a person does with dead letters."""
