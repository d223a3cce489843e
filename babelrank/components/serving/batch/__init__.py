"""Predictions for whole files and examples, by Beam."""
