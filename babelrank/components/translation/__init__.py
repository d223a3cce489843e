"""Translation: from parallel text to a model that translates raw strings."""
