"""Gate rules, the verdict in words, and the report."""
