"""The training engine: knows no task."""
