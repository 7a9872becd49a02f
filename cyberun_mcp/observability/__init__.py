"""What a process reports about itself: `logs`, `metrics`, `tracing`, and a `stderr` that never blocks."""
