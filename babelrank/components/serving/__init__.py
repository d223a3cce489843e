"""Pushing a model and asking it for predictions."""
