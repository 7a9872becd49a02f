"""What the platform remembers, in one SQLite file."""
