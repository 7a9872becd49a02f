"""Whether the server loses, repeats or hides anything, or grows, under a long mixed load with faults."""
