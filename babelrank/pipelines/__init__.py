"""What is wired to what, and where it runs."""
