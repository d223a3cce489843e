"""The serving check: what a model must show before it is pushed."""
