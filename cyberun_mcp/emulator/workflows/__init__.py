"""The workflows: what each takes, and the code that really runs it."""
