"""From an accepted task to its end: agents, the queue, running, and those who watch."""
